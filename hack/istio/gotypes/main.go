// Prints lib/inject/go_types_table.c: what Go's types of a pod and of Istio's mesh configuration have by which name, for the templates of
// an injector's ConfigMap, which name members as Go does (.Spec.Containers, .ProxyConfig.GetTracing). Names, kinds and defaults are facts
// read by reflection from the published modules; nothing is copied from their sources.
package main

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pkg/config/mesh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type member struct {
	goName, json string
	kind, item   byte // s text, i whole, f float, b truth, S struct, E enum, L list, M map, x: text of its own, j: any JSON
	of           int  // type of S, E, or of the items
	flags        []string
}
type goType struct {
	name, kind string // STRUCT, MESSAGE, ENUM
	members    []member
}

var types []*goType
var seen = map[string]int{}

func add(name, kind string) (int, *goType, bool) {
	if at, ok := seen[name]; ok {
		return at, types[at], true
	}
	t := &goType{name: name, kind: kind}
	seen[name] = len(types)
	types = append(types, t)
	return len(types) - 1, t, false
}

var own = map[string]bool{"resource.Quantity": true, "intstr.IntOrString": true, "v1.Time": true, "v1.FieldsV1": true}

// Kind and type of a Go value that Kubernetes' encoder writes.
func plain(t reflect.Type) (byte, int) {
	if own[t.String()] {
		return 'x', 0
	}
	switch t.Kind() {
	case reflect.Pointer:
		return plain(t.Elem())
	case reflect.String:
		return 's', 0
	case reflect.Bool:
		return 'b', 0
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8:
		return 'i', 0
	case reflect.Float64:
		return 'f', 0
	case reflect.Struct:
		return 'S', structure(t)
	}
	return 'j', 0
}

func fields(t reflect.Type, to *goType) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("json"), ",")
		if f.Anonymous && tag[0] == "" {
			ft := f.Type
			if ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			fields(ft, to)
			continue
		}
		m := member{goName: f.Name, json: tag[0]}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			m.flags = append(m.flags, "POINTER")
			ft = ft.Elem()
		}
		if len(tag) > 1 && strings.Contains(f.Tag.Get("json"), "omitempty") {
			m.flags = append(m.flags, "OMIT")
		}
		switch {
		case own[ft.String()]:
			m.kind = 'x'
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Uint8:
			m.kind = 's'
		case ft.Kind() == reflect.Slice:
			m.kind = 'L'
			m.item, m.of = plain(ft.Elem())
		case ft.Kind() == reflect.Map:
			m.kind = 'M'
			m.item, m.of = plain(ft.Elem())
		default:
			m.kind, m.of = plain(ft)
		}
		to.members = append(to.members, m)
	}
}

func structure(t reflect.Type) int {
	at, to, have := add(t.String(), "STRUCT")
	if !have {
		fields(t, to)
	}
	return at
}

func enumeration(e protoreflect.EnumDescriptor) int {
	at, to, have := add(string(e.FullName()), "ENUM")
	for i := 0; !have && i < e.Values().Len(); i++ {
		v := e.Values().Get(i)
		to.members = append(to.members, member{goName: string(v.Name()), kind: 'i', of: int(v.Number())})
	}
	return at
}

var wrappers = map[string]byte{"google.protobuf.BoolValue": 'b', "google.protobuf.Int32Value": 'i', "google.protobuf.UInt32Value": 'i',
	"google.protobuf.Int64Value": 'i', "google.protobuf.UInt64Value": 'i', "google.protobuf.StringValue": 's',
	"google.protobuf.DoubleValue": 'f', "google.protobuf.FloatValue": 'f'}

func single(f protoreflect.FieldDescriptor) (byte, int) {
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return 's', 0
	case protoreflect.BoolKind:
		return 'b', 0
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return 'f', 0
	case protoreflect.EnumKind:
		return 'E', enumeration(f.Enum())
	case protoreflect.MessageKind:
		name := string(f.Message().FullName())
		if name == "google.protobuf.Struct" || name == "google.protobuf.Value" || name == "google.protobuf.Any" || name == "google.protobuf.ListValue" {
			return 'j', 0
		}
		if name == "google.protobuf.Duration" || name == "google.protobuf.Timestamp" {
			return 'x', 0
		}
		return 'S', message(f.Message())
	}
	return 'i', 0
}

func goCamel(s string) string {
	var b strings.Builder
	up := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '_' && i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z' {
			up = true
			continue
		}
		if up && c >= 'a' && c <= 'z' {
			c -= 32
		}
		up = c >= '0' && c <= '9'
		b.WriteByte(c)
	}
	return b.String()
}

func message(d protoreflect.MessageDescriptor) int {
	at, to, have := add(string(d.FullName()), "MESSAGE")
	if have {
		return at
	}
	if kind, ok := wrappers[string(d.FullName())]; ok {
		to.kind = "WRAPPER"
		to.members = []member{{goName: "Value", json: "", kind: kind}}
		return at
	}
	for i := 0; i < d.Fields().Len(); i++ {
		f := d.Fields().Get(i)
		m := member{goName: goCamel(string(f.Name())), json: f.JSONName(), flags: []string{"OMIT"}}
		if f.ContainingOneof() != nil && !f.HasOptionalKeyword() {
			m.flags = append(m.flags, "GETTER")
		}
		switch {
		case f.IsMap():
			m.kind = 'M'
			m.item, m.of = single(f.MapValue())
		case f.IsList():
			m.kind = 'L'
			m.item, m.of = single(f)
		default:
			m.kind, m.of = single(f)
			if m.kind == 'S' || m.kind == 'x' && f.Kind() == protoreflect.MessageKind {
				m.flags = append(m.flags, "POINTER")
			}
		}
		to.members = append(to.members, m)
	}
	return at
}

func c(b byte) string {
	if b == 0 {
		return "0"
	}
	return fmt.Sprintf("'%c'", b)
}

func defaults(m proto.Message) string {
	text, err := protojson.Marshal(m)
	if err != nil {
		panic(err)
	}
	// protojson puts spaces at random, on purpose.
	s := strings.ReplaceAll(string(text), ", \"", ",\"")
	s = strings.ReplaceAll(strings.ReplaceAll(s, ":  ", ":"), ": ", ":")
	return strings.ReplaceAll(s, `"`, `\"`)
}

func main() {
	typeMeta := structure(reflect.TypeOf(metav1.TypeMeta{}))
	objectMeta := structure(reflect.TypeOf(metav1.ObjectMeta{}))
	podSpec := structure(reflect.TypeOf(corev1.PodSpec{}))
	meshConfig := message((&meshconfig.MeshConfig{}).ProtoReflect().Descriptor())
	proxyConfig := message((&meshconfig.ProxyConfig{}).ProtoReflect().Descriptor())
	fmt.Println("/* Generated by hack/istio/gotypes from the published Go types of Kubernetes and Istio; not to be changed by hand. */")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "istio.io/api" || d.Path == "k8s.io/api" {
				fmt.Printf("/* %s %s */\n", d.Path, d.Version)
			}
		}
	}
	fmt.Println("#include \"inject/go_types.h\"\n\n/* clang-format off */")
	first := 0
	fmt.Println("const struct go_member inject_go_members[] = {")
	for _, t := range types {
		fmt.Printf("\t/* %s */\n", t.name)
		for _, m := range t.members {
			flags := "0"
			if len(m.flags) > 0 {
				flags = "GO_" + strings.Join(m.flags, " | GO_")
			}
			fmt.Printf("\t{ \"%s\", \"%s\", %s, %s, %s, %d },\n", m.goName, m.json, c(m.kind), c(m.item), flags, m.of)
		}
	}
	fmt.Println("};\nconst struct go_type inject_go_types[] = {")
	for _, t := range types {
		fmt.Printf("\t{ \"%s\", GO_%s, %d, %d },\n", t.name, t.kind, first, len(t.members))
		first += len(t.members)
	}
	fmt.Println("};")
	fmt.Printf("const size_t inject_go_type_n = %d, inject_go_type_meta = %d, inject_go_object_meta = %d, inject_go_pod_spec = %d,\n", len(types), typeMeta, objectMeta, podSpec)
	fmt.Printf("             inject_go_mesh_config = %d, inject_go_proxy_config = %d;\n", meshConfig, proxyConfig)
	fmt.Printf("const char inject_mesh_defaults[] = \"%s\";\n", defaults(mesh.DefaultMeshConfig()))
}
