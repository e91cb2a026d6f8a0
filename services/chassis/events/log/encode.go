package log

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// ErrUnknown is an event that this version cannot read: a later one may have written it.
var ErrUnknown = errors.New("unknown to this version")

// encode makes the message of a type out of what a statement wrote as ProtoJSON. It is
// strict: what a later version of the service wrote is left to that version, and nothing
// of it is lost.
func encode(name string, data []byte) ([]byte, error) {
	found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("type %q is %w: %w", name, ErrUnknown, err)
	}
	m := found.New().Interface()
	if err := protojson.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s is %w: %w", name, ErrUnknown, err)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}
