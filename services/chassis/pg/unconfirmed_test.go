package pg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...)
}

// TestMessagesPass: however a server's bytes come, all pass as they are but the one warning.
func TestMessagesPass(t *testing.T) {
	t.Parallel()
	warning := "SWARNING\x00VWARNING\x00C01000\x00Mcanceling wait\x00RSyncRepWaitForLSN\x00\x00"
	other := "SWARNING\x00C01000\x00Mof SyncRepWaitForLSN\x00Rother\x00\x00"
	row := string(bytes.Repeat([]byte("N\x00\x00\x00\x08RSyncRepWaitForLSN\x00"), 3000))
	in := bytes.Join([][]byte{message('D', row), message('N', other), message('C', "COMMIT\x00"), message('N', warning), message('Z', "I"), message('1', ""), message('N', warning), message('D', row)}, nil)
	failed := "SWARNING\x00VWARNING\x00C40003\x00Mcanceling wait\x00RSyncRepWaitForLSN\x00\x00"
	want := bytes.Join([][]byte{message('D', row), message('N', other), message('C', "COMMIT\x00"), message('E', failed), message('Z', "I"), message('1', ""), message('E', failed), message('D', row)}, nil)
	for name, from := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)),
		"halves": iotest.HalfReader(bytes.NewReader(in)), "with the end": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		found := 0
		got, err := io.ReadAll(&confirming{from: from, found: func() { found++ }})
		if err != nil || !bytes.Equal(got, want) || found != 2 {
			t.Errorf("%s: %d of %d bytes pass, as sent: %t, %d found, %v", name, len(got), len(want), bytes.Equal(got, want), found, err)
		}
	}
}

// TestADeadlineEndsOneRead: a connection that waits in vain is read from again.
func TestADeadlineEndsOneRead(t *testing.T) {
	t.Parallel()
	in := bytes.Join([][]byte{message('A', "notification"), message('N', "SNOTICE\x00\x00"), message('Z', "I")}, nil)
	c := &confirming{from: iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(in))), found: func() {}}
	var got []byte
	b := make([]byte, 100)
	for timeouts := 0; len(got) < len(in); {
		n, err := c.Read(b)
		got = append(got, b[:n]...)
		if errors.Is(err, iotest.ErrTimeout) {
			timeouts++
			err = nil
		}
		if err != nil || timeouts > 1 {
			t.Fatalf("after %q: %v, %d timeouts", got, err, timeouts)
		}
	}
	if !bytes.Equal(got, in) {
		t.Errorf("got %q", got)
	}
}
