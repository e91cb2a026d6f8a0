package helm_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// tiltAPI is what the Tiltfile may call and with what: the parameters in their
// order, each with its type, and ? where it may be left out. From Tilt's API
// reference, docs.tilt.dev/api.html, as of Tilt 0.36. A parameter or a type that
// is not here is refused.
var tiltAPI = map[string]string{
	"version_settings":   "check_updates:bool? constraint:string?",
	"ci_settings":        "k8s_grace_period:string? timeout:string? readiness_timeout:string?",
	"local":              "command:strings quiet:bool? command_bat:strings? echo_off:bool? env:dict? dir:string? stdin:text?",
	"read_yaml":          "path:string default:any?",
	"decode_yaml_stream": "yaml:text",
	"helm":               "pathToChartDir:string name:string? namespace:string? values:strings? set:strings? kube_version:string? skip_crds:bool?",
	"filter_yaml":        "yaml:text labels:dict? name:string? namespace:string? kind:string? api_version:string?",
	"k8s_yaml":           "yaml:text allow_duplicates:bool?",
	"k8s_context":        "",
	"k8s_namespace":      "",
	"k8s_resource": "workload:string? new_name:string? port_forwards:forwards? extra_pod_selectors:any? trigger_mode:trigger? resource_deps:list? " +
		"objects:list? auto_init:bool? pod_readiness:string? links:list? labels:strings? discovery_strategy:string?",
	"docker_build": "ref:string context:string build_args:dict? dockerfile:string? dockerfile_contents:text? live_update:list? match_in_env_vars:bool? " +
		"ignore:strings? only:strings? entrypoint:strings? target:string? ssh:strings? network:string? secret:strings? extra_tag:strings? " +
		"container_args:list? cache_from:strings? pull:bool? platform:string?",
	"sync": "local_path:string remote_path:string",
	"local_resource": "name:string cmd:strings? deps:strings? trigger_mode:trigger? resource_deps:list? ignore:strings? auto_init:bool? serve_cmd:strings? " +
		"cmd_bat:strings? serve_cmd_bat:strings? allow_parallel:bool? links:list? tags:list? env:dict? serve_env:dict? readiness_probe:probe? " +
		"dir:string? serve_dir:string? labels:strings?",
	"link":         "url:string name:string?",
	"port_forward": "local_port:int container_port:int? name:string? link_path:string? host:string?",
	"probe": "initial_delay_secs:int? timeout_secs:int? period_secs:int? success_threshold:int? failure_threshold:int? " +
		"exec:exec_action? http_get:any? tcp_socket:any?",
	"exec_action": "command:list",

	"config.define_string":         "name:string args:bool? usage:string?",
	"config.define_string_list":    "name:string args:bool? usage:string?",
	"config.parse":                 "",
	"config.set_enabled_resources": "resources:list",
}

// opaque is a value of Tilt's own: a blob, a trigger mode.
type opaque struct{ kind, text string }

func (o opaque) String() string        { return o.text }
func (o opaque) Type() string          { return o.kind }
func (o opaque) Freeze()               {}
func (o opaque) Truth() starlark.Bool  { return starlark.True }
func (o opaque) Hash() (uint32, error) { return 0, errors.New("not hashable") }

// fits reports whether a value may be given for a parameter of a type.
func fits(kind string, v starlark.Value) bool {
	is := func(kinds ...string) bool { return slices.Contains(kinds, v.Type()) }
	all := func(one func(starlark.Value) bool) bool {
		list, ok := v.(*starlark.List)
		for i := 0; ok && i < list.Len(); i++ {
			ok = one(list.Index(i))
		}
		return ok
	}
	text := func(v starlark.Value) bool { return v.Type() == "string" }
	switch kind {
	case "any":
		return true
	case "text":
		return is("string", "blob")
	case "strings":
		return is("string") || all(text)
	case "list": // of text, or of what a function of Tilt's returned
		return all(func(v starlark.Value) bool { return text(v) || v.Type() == "struct" })
	case "forwards":
		return is("string", "int") || all(func(v starlark.Value) bool { return text(v) || v.Type() == "struct" })
	case "probe", "exec_action":
		s, ok := v.(*starlarkstruct.Struct)
		return ok && s.Constructor() == starlark.String(kind)
	default:
		return is(kind)
	}
}

// call is a call of one of Tilt's functions, with its arguments by name.
type call struct {
	function string
	args     starlark.StringDict
}

func (c call) text(name string) string {
	s, _ := starlark.AsString(c.args[name])
	return s
}

// texts returns an argument that is text or a list of texts.
func (c call) texts(name string) []string {
	if s, ok := starlark.AsString(c.args[name]); ok {
		return []string{s}
	}
	var all []string
	for _, v := range c.list(name) {
		s, _ := starlark.AsString(v)
		all = append(all, s)
	}
	return all
}

func (c call) list(name string) []starlark.Value {
	list, ok := c.args[name].(*starlark.List)
	if !ok {
		return nil
	}
	return slices.Collect(list.Elements())
}

// flag returns an argument that is true or false, and what it is when it is not
// given.
func (c call) flag(name string, otherwise bool) bool {
	if v, ok := c.args[name]; ok {
		return bool(v.Truth())
	}
	return otherwise
}

func (c call) manual() bool {
	mode, ok := c.args["trigger_mode"]
	return ok && mode.String() == "TRIGGER_MODE_MANUAL"
}

// unpack binds arguments to the parameters of a function.
func unpack(function string, args starlark.Tuple, kwargs []starlark.Tuple) (call, error) {
	c := call{function, starlark.StringDict{}}
	var names []string
	kinds := map[string]string{}
	for _, parameter := range strings.Fields(tiltAPI[function]) {
		name, kind, _ := strings.Cut(parameter, ":")
		names, kinds[name] = append(names, name), kind
	}
	if len(args) > len(names) {
		return c, fmt.Errorf("%s: %d arguments for %d parameters", function, len(args), len(names))
	}
	for i, v := range args {
		kwargs = append(kwargs, starlark.Tuple{starlark.String(names[i]), v})
	}
	for _, kv := range kwargs {
		name, _ := starlark.AsString(kv[0])
		kind, ok := kinds[name]
		if !ok {
			return c, fmt.Errorf("%s: unexpected keyword argument %q", function, name)
		}
		if _, twice := c.args[name]; twice {
			return c, fmt.Errorf("%s: %s is given twice", function, name)
		}
		if kind = strings.TrimSuffix(kind, "?"); !fits(kind, kv[1]) {
			return c, fmt.Errorf("%s: %s is %v, a %s, want %s", function, name, kv[1], kv[1].Type(), kind)
		}
		c.args[name] = kv[1]
	}
	for _, name := range names {
		if _, ok := c.args[name]; !ok && !strings.HasSuffix(kinds[name], "?") {
			return c, fmt.Errorf("%s: missing argument for %s", function, name)
		}
	}
	return c, nil
}

// tilt runs a Tiltfile against stubs of Tilt's functions.
type tilt struct {
	t          *testing.T
	subcommand string                    // of tilt: up, ci
	settings   map[string]starlark.Value // what stands behind the --
	calls      []call
}

// run executes the text of a Tiltfile, whose paths are relative to the
// repository.
func (f *tilt) run(source string) error {
	env := starlark.StringDict{}
	config := starlark.StringDict{
		"main_dir":        starlark.String(root),
		"tilt_subcommand": starlark.String(f.subcommand),
	}
	for name := range tiltAPI {
		builtin := starlark.NewBuiltin(name, f.called)
		if member, ok := strings.CutPrefix(name, "config."); ok {
			config[member] = builtin
		} else {
			env[name] = builtin
		}
	}
	env["config"] = starlarkstruct.FromStringDict(starlark.String("config"), config)
	for _, mode := range []string{"TRIGGER_MODE_AUTO", "TRIGGER_MODE_MANUAL"} {
		env[mode] = opaque{"trigger", mode}
	}
	// The dialect of Tilt. A thread without Load refuses extensions.
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true, Set: true}
	_, err := starlark.ExecFileOptions(options, &starlark.Thread{Name: "Tiltfile"}, "Tiltfile", source, env)
	var evaluation *starlark.EvalError
	if errors.As(err, &evaluation) {
		return errors.New(evaluation.Backtrace())
	}
	return err
}

// root is the repository.
const root = ".."

func (f *tilt) called(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	c, err := unpack(fn.Name(), args, kwargs)
	if err != nil {
		return nil, err
	}
	f.calls = append(f.calls, c)
	switch c.function {
	case "k8s_context":
		return starlark.String("kind-kind"), nil
	case "k8s_namespace":
		return starlark.String("shop"), nil
	case "local":
		switch command := c.texts("command"); command[0] {
		case "kubectl":
			return opaque{"blob", "arm64"}, nil
		case "mkdir":
			return opaque{"blob", ""}, nil
		default:
			return nil, fmt.Errorf("local: %v is not known to the test", command)
		}
	case "helm":
		return f.helm(c)
	case "filter_yaml":
		return filter(c)
	case "decode_yaml_stream":
		return documents(c.args["yaml"].String())
	case "read_yaml":
		data, err := os.ReadFile(filepath.Join(root, c.text("path")))
		if err != nil {
			return nil, err
		}
		var v any
		if err := yaml.Unmarshal(data, &v); err != nil {
			return nil, err
		}
		return toStarlark(v)
	case "config.parse":
		settings := starlark.NewDict(len(f.settings))
		for name, v := range f.settings {
			if err := settings.SetKey(starlark.String(name), v); err != nil {
				return nil, err
			}
		}
		return settings, nil
	case "sync", "link", "port_forward", "probe", "exec_action":
		return starlarkstruct.FromStringDict(starlark.String(c.function), c.args), nil
	}
	return starlark.None, nil
}

// helm is `helm template`: an install, rendered without a cluster.
func (f *tilt) helm(c call) (starlark.Value, error) {
	if got := filepath.Join(root, c.text("pathToChartDir")); got != filepath.Join(root, "helm", chartDir) {
		return nil, fmt.Errorf("helm: chart %s", got)
	}
	all := map[string]any{}
	for _, name := range c.texts("values") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		v := map[string]any{}
		if err := yaml.UnmarshalStrict(data, &v); err != nil {
			return nil, err
		}
		all = chartutil.CoalesceTables(v, all)
	}
	for _, set := range c.texts("set") {
		if err := strvals.ParseInto(set, all); err != nil {
			return nil, err
		}
	}
	text, err := renderRelease(f.t, all, chartutil.ReleaseOptions{Name: c.text("name"), Namespace: c.text("namespace"), Revision: 1, IsInstall: true})
	return opaque{"blob", text}, err
}

// filter parts manifests by their kind.
func filter(c call) (starlark.Value, error) {
	kind, err := regexp.Compile("(?i)" + c.text("kind"))
	if err != nil {
		return nil, err
	}
	if len(c.args) != 2 {
		return nil, errors.New("filter_yaml: the test knows kinds only")
	}
	var matching, rest []string
	for _, doc := range split(c.args["yaml"].String()) {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			return nil, err
		}
		if kind.MatchString(head.Kind) {
			matching = append(matching, doc)
		} else {
			rest = append(rest, doc)
		}
	}
	return starlark.Tuple{opaque{"blob", strings.Join(matching, "\n---\n")}, opaque{"blob", strings.Join(rest, "\n---\n")}}, nil
}

// split returns the documents of a stream in the order of their names.
func split(text string) []string {
	docs := releaseutil.SplitManifests(text)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(docs)) {
		all = append(all, docs[key])
	}
	return all
}

func documents(text string) (starlark.Value, error) {
	var all []starlark.Value
	for _, doc := range split(text) {
		var v any
		if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
			return nil, err
		}
		s, err := toStarlark(v)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return starlark.NewList(all), nil
}

// toStarlark turns what YAML holds into Starlark's.
func toStarlark(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case float64:
		return starlark.Float(v), nil
	case []any:
		var all []starlark.Value
		for _, element := range v {
			s, err := toStarlark(element)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		return starlark.NewList(all), nil
	case map[string]any:
		dict := starlark.NewDict(len(v))
		for key, element := range v {
			s, err := toStarlark(element)
			if err != nil {
				return nil, err
			}
			if err := dict.SetKey(starlark.String(key), s); err != nil {
				return nil, err
			}
		}
		return dict, nil
	}
	return nil, fmt.Errorf("a %T in YAML", v)
}
