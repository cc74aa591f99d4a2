"""Every message of the Envoy API through lib/envoy/transcode, compared with protobuf's own JSON mapping.

For each message type a random instance is filled and serialised here; our transcoder turns the bytes into JSON, which must equal
protobuf's, and that JSON into bytes, which must parse into an equal message. The facts compared against are protobuf's own
descriptors (and, for what the package lacks, descriptors built from lib/envoy/extra_api.table).
"""
import importlib
import json
import math
import os
import pathlib
import random
import subprocess
import sys

import google
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("BUILD", "build")
CAMEL, KEEP_OPAQUE, IGNORE_UNKNOWN = 1, 2, 4
SCALARS = {"double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9,
           "bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18}


def load_package():
    site = pathlib.Path(google.__path__[0]).parent
    for top in ("envoy", "xds", "udpa", "opentelemetry", "google/rpc"):
        for path in sorted((site / top).rglob("*_pb2.py")):
            importlib.import_module(".".join(path.relative_to(site).with_suffix("").parts))
    for name in ("any", "struct", "duration", "timestamp", "wrappers", "empty", "field_mask"):
        importlib.import_module(f"google.protobuf.{name}_pb2")


def table_names(name):
    names, package = [], ""
    for line in (ROOT / "lib/envoy" / name).read_text().splitlines():
        if line.startswith("p "):
            package = line[2:]
        elif line.startswith("m "):
            names.append(f"{package}.{line[2:]}")
    return names


def build_extra(pool):
    """Descriptors for extra_api.table, one file per package (proto2 where the original is)."""
    files, package, current = {}, "", None
    lines = (ROOT / "lib/envoy/extra_api.table").read_text().splitlines()
    for name in (line[2:] for line in lines if line.startswith("p ")):
        syntax = "proto2" if name == "io.prometheus.client" else "proto3"
        files[name] = descriptor_pb2.FileDescriptorProto(name=f"extra/{name}.proto", package=name, syntax=syntax)
    for line in lines:
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "p":
            package = words[1]
        elif words[0] == "x":  # test_fields_that_the_package_lacks
            current = descriptor_pb2.DescriptorProto()
        elif words[0] in ("m", "e"):
            parts = words[1].split(".")
            scope = files[package]
            for part in parts[:-1]:
                nested = scope.message_type if scope is files[package] else scope.nested_type
                scope = next(m for m in nested if m.name == part)
            top = scope is files[package]
            kinds = (scope.message_type if top else scope.nested_type) if words[0] == "m" else scope.enum_type
            current = kinds.add(name=parts[-1])
        elif isinstance(current, descriptor_pb2.EnumDescriptorProto):
            current.value.add(name=words[1], number=int(words[0]))
        else:
            add_field(files, package, current, words)
    todo = dict(files)
    while todo:
        for name in sorted(todo):
            if not any(dep.startswith("extra/") and dep[6:-6] in todo for dep in todo[name].dependency):
                pool.Add(todo.pop(name))


def add_field(files, package, message, words):
    kind = words[2]
    field = message.field.add(name=words[1], number=int(words[0]), label=1)
    if kind.startswith("[u]"):
        kind, field.label = kind[3:], 3
    elif kind.startswith("[]"):
        kind, field.label = kind[2:], 3
    elif kind.startswith("{"):
        value = kind[kind.index("}") + 1:]
        entry = message.nested_type.add(name="".join(w.capitalize() for w in words[1].split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=SCALARS[kind[1:kind.index("}")]])
        set_type(files, package, entry.field.add(name="value", number=2, label=1), value)
        field.label, field.type, field.type_name = 3, 11, f".{'.'.join([package, message.name, entry.name])}"
        return
    set_type(files, package, field, kind)
    for word in words[3:]:
        if word.startswith("|"):
            names = [o.name for o in message.oneof_decl]
            if word[1:] not in names:
                message.oneof_decl.add(name=word[1:])
                names.append(word[1:])
            field.oneof_index = names.index(word[1:])


def set_type(files, package, field, kind):
    if kind in SCALARS:
        field.type = SCALARS[kind]
        return
    field.type = 11 if kind[0] == "m" else 14
    full = kind[3:] if kind[2] == "." else f"{package}.{kind[2:]}"
    field.type_name = "." + full
    if kind[2] == ".":
        owner = next((p for p in sorted(files, key=len, reverse=True) if full.startswith(p + ".")), None)
        dep = f"extra/{owner}.proto" if owner else descriptor_pool.Default().FindFileContainingSymbol(full).name
        if owner != package and dep not in files[package].dependency:
            files[package].dependency.append(dep)


def cls_of(name):
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


class Filler:
    """Fills messages with random valid values."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        return "".join(self.r.choice('abcXYZ019 _-./"\\\n\té漢😀\x01') for _ in range(self.r.choice((1, 3, 9, 40, 200))))

    def scalar(self, f):
        r = self.r
        kind = f.type
        if kind == 1:
            return r.choice((0.5, -1.25e-7, 3.0, 1e300, 0.1, math.inf, 123456789.0))
        if kind == 2:
            return r.choice((0.5, 3.0, -2.25, 16777216.0, 0.125, -math.inf, 3.4028234663852886e38))
        if kind in (3, 16, 18):
            return r.choice((1, -1, 2**63 - 1, -2**63, 2**53 + 1, r.randrange(-10**6, 10**6) or 7))
        if kind in (4, 6):
            return r.choice((1, 2**64 - 1, 127, 128, 2**53 + 1))
        if kind in (5, 15, 17):
            return r.choice((1, -1, 2**31 - 1, -2**31, 300))
        if kind in (13, 7):
            return r.choice((1, 2**32 - 1, 300))
        if kind == 8:
            return True
        if kind == 9:
            return self.text()
        if kind == 12:
            return r.randbytes(r.choice((1, 2, 3, 64, 300)))
        if kind == 14:
            return r.choice([v.number for v in f.enum_type.values])
        raise AssertionError(f.full_name)

    def known(self, m):
        """Types with a form of their own. True where `m` was one."""
        r = self.r
        name = m.DESCRIPTOR.full_name
        if name == "google.protobuf.Duration":
            m.seconds, m.nanos = r.choice(((1, 500000000), (0, 1), (-3, -250000), (0, 0), (315576000000, 0), (0, -1000)))
        elif name == "google.protobuf.Timestamp":
            m.seconds, m.nanos = r.choice(((0, 0), (1785578400, 123456789), (-62135596800, 0), (253402300799, 999999999), (-1, 5000000)))
        elif name == "google.protobuf.Struct":
            m.update({"a": "x", "n": 1.5, "b": False, "nil": None, "l": [1, "2", [True]], "s": {"t": {}}, self.text(): self.text()})
        elif name == "google.protobuf.ListValue":
            m.extend(["x", 2.5, None, {"k": [1]}])
        elif name == "google.protobuf.Value":
            kind = r.randrange(6)
            if kind == 0:
                m.null_value = 0
            elif kind == 1:
                m.number_value = -0.25
            elif kind == 2:
                m.string_value = self.text()
            elif kind == 3:
                m.bool_value = False
            elif kind == 4:
                m.struct_value.update({"k": "v"})
            else:
                m.list_value.extend([1, 2])
        elif name == "google.protobuf.FieldMask":
            m.paths.extend(["one_two.three", "four"])
        elif name == "google.protobuf.Any":
            inner = cls_of(r.choice(("envoy.config.core.v3.Address", "google.protobuf.Duration", "google.protobuf.UInt32Value",
                                     "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", "xds.type.v3.TypedStruct",
                                     "google.protobuf.Struct")))()
            self.fill(inner, 2)
            m.Pack(inner, deterministic=True)
        else:
            return False
        return True

    def fill(self, m, depth):
        if self.known(m):
            return
        chosen = {o.name: self.r.choice(o.fields).name for o in m.DESCRIPTOR.oneofs}
        for f in m.DESCRIPTOR.fields:
            if f.containing_oneof is not None and chosen[f.containing_oneof.name] != f.name:
                continue
            if f.message_type is not None and depth <= 0 and not f.message_type.full_name.startswith("google.protobuf."):
                continue
            if depth < 2 and self.r.random() < 0.4:
                continue
            self.field(m, f, depth)

    def field(self, m, f, depth):
        if f.message_type is not None and f.message_type.GetOptions().map_entry:
            key, value = f.message_type.fields_by_name["key"], f.message_type.fields_by_name["value"]
            for _ in range(2):
                k = self.scalar(key)
                if value.message_type is not None:
                    self.fill(getattr(m, f.name)[k], depth - 1)
                else:
                    getattr(m, f.name)[k] = self.scalar(value)
        elif f.is_repeated:
            for _ in range(self.r.choice((1, 2, 3))):
                if f.message_type is not None:
                    self.fill(getattr(m, f.name).add(), depth - 1)
                else:
                    getattr(m, f.name).append(self.scalar(f))
        elif f.message_type is not None:
            sub = getattr(m, f.name)
            sub.SetInParent()
            self.fill(sub, depth - 1)
        else:
            zero = f.has_presence and self.r.random() < 0.3 and f.type not in (9, 12, 14)
            setattr(m, f.name, (False if f.type == 8 else 0) if zero else self.scalar(f))


class Driver:
    def __init__(self):
        target = f"{BUILD}/unit/envoy/transcode_driver"
        subprocess.run(["make", "-s", f"BUILD={BUILD}", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen([ROOT / target if not os.path.isabs(target) else target], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, direction, name, data, flags=0):
        self.process.stdin.write(f"{direction} {name} {flags} {len(data)}\n".encode() + data)
        self.process.stdin.flush()
        line = self.process.stdout.readline().split()
        assert line, f"the driver ended on {name}"
        answer = self.process.stdout.read(int(line[1]))
        if line[0] != b"OK":
            raise ValueError(answer.decode(errors="replace"))
        return answer

    def to_json(self, name, wire, flags=0):
        return json.loads(self.ask("J", name, wire, flags))

    def to_wire(self, name, text, flags=0):
        return self.ask("W", name, text.encode(), flags)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="module")
def driver():
    load_package()
    build_extra(descriptor_pool.Default())
    d = Driver()
    yield d
    d.close()


def same(a, b, path=""):
    """Where two JSON values differ, or None. Numbers by value, floats to single precision."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path}: keys {sorted(a.keys() ^ b.keys())}"
        return next((d for k in a if (d := same(a[k], b[k], f"{path}.{k}"))), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path}: {len(a)} and {len(b)} items"
        return next((d for i, (x, y) in enumerate(zip(a, b)) if (d := same(x, y, f"{path}[{i}]"))), None)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool) and not isinstance(b, bool):
        return None if a == b or math.isclose(a, b, rel_tol=1e-6) else f"{path}: {a} and {b}"
    return None if a == b and type(a) is type(b) else f"{path}: {a!r} and {b!r}"


def check(driver, name, seed):
    message = cls_of(name)()
    Filler(f"{name}/{seed}").fill(message, 2)
    wire = message.SerializeToString(deterministic=True)
    ours = driver.to_json(name, wire)
    theirs = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert not (difference := same(ours, theirs)), f"{name}: {difference}"
    for camel in (False, True):
        text = json.dumps(json_format.MessageToDict(message, preserving_proto_field_name=not camel))
        back = cls_of(name).FromString(driver.to_wire(name, text))
        # Maps inside an Any keep the order of the JSON: bytes may differ there, the content must not.
        equal = back.SerializeToString(deterministic=True) == wire or (
            '"@type"' in text and json_format.MessageToDict(back, preserving_proto_field_name=True) == theirs)
        assert equal, f"{name}: the way back differs (camel {camel})\n{message}\n{back}"
    assert same(driver.to_json(name, wire, CAMEL), json_format.MessageToDict(message)) is None, name
    if cls_of(name)().DESCRIPTOR.full_name.startswith("google.protobuf."):
        return
    again = driver.to_wire(name, json.dumps(ours))
    assert driver.to_wire(name, json.dumps(driver.to_json(name, again))) == again, f"{name}: not a fixed point"


@pytest.mark.parametrize("seed", range(3))
def test_every_message(driver, seed):
    names = table_names("envoy_api.table") + table_names("extra_api.table")
    assert len(names) > 1900
    for name in names:
        check(driver, name, seed)


def test_table_is_the_package(driver):
    subprocess.run([ROOT / "hack/envoy-api", "--check"], check=True)


def test_fields_that_the_package_lacks(driver, tmp_path):
    """A field of `x MESSAGE` in extra_api.table goes both ways, and a real Envoy knows it by that number."""
    name = "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget"
    wire = driver.to_wire(name, '{"min_retry_concurrency": 3, "budget_interval": "1.500s"}')
    assert wire == b"\x12\x02\x08\x03\x1a\x06\x08\x01\x10\x80\xca\xb5\xee\x01"[:4] + driver.to_wire(name, '{"budget_interval": "1.500s"}')
    assert driver.to_json(name, wire) == {"min_retry_concurrency": 3, "budget_interval": "1.500s"}
    from envoy.config.bootstrap.v3 import bootstrap_pb2
    for number, taken in ((wire[4] >> 3, True), (15, False)):
        b = bootstrap_pb2.Bootstrap()
        c = b.static_resources.clusters.add(name="a")
        c.connect_timeout.seconds = 1
        budget = c.circuit_breakers.thresholds.add().retry_budget
        budget.ParseFromString(bytes([number << 3 | 2]) + wire[5:])
        (tmp_path / "b.pb").write_bytes(b.SerializeToString())
        done = subprocess.run([pathlib.Path(sys.executable).parent / "envoy", "--mode", "validate", "-c", tmp_path / "b.pb", "-l", "error"], capture_output=True, text=True)
        assert (done.returncode == 0) == taken, done.stderr


def test_wire_rules(driver):
    """What protobuf says about bytes that no serialiser writes: merging, last one wins, packed or not, unknown fields."""
    name = "envoy.config.cluster.v3.Cluster"
    cls = cls_of(name)
    one, two = cls(name="one"), cls(name="two", type=3)
    one.eds_cluster_config.service_name = "s"
    one.transport_socket.name = "t"
    two.cluster_type.name = "last member of the oneof"
    two.transport_socket.typed_config.type_url = "type.googleapis.com/google.protobuf.Empty"
    both = one.SerializeToString() + two.SerializeToString() + b"\xf8\xff\x03\x07" + b"\xfa\xff\x03\x02hi"
    expected = json_format.MessageToDict(cls.FromString(both), preserving_proto_field_name=True)
    assert same(driver.to_json(name, both), expected) is None
    packed = "envoy.config.route.v3.RetryPolicy"
    assert driver.to_json(packed, b"\x3a\x03\x01\xac\x02\x38\x07")["retriable_status_codes"] == [1, 300, 7]


def test_opaque_any(driver):
    name = "envoy.config.core.v3.TypedExtensionConfig"
    m = cls_of(name)(name="x")
    m.typed_config.type_url = "type.googleapis.com/not.known.Thing"
    m.typed_config.value = b"\x01\x02\x03"
    wire = m.SerializeToString()
    short = driver.to_json(name, wire)
    assert short["typed_config"] == {"@type": "type.googleapis.com/not.known.Thing", "@opaque_bytes": 3}
    with pytest.raises(ValueError, match="typed_config.*unknown type"):
        driver.to_wire(name, json.dumps(short))
    assert driver.to_wire(name, json.dumps(driver.to_json(name, wire, KEEP_OPAQUE))) == wire
    bare = {"name": "x", "typed_config": {"@type": "google.protobuf.UInt32Value", "value": 7}}
    back = cls_of(name).FromString(driver.to_wire(name, json.dumps(bare)))
    assert back.typed_config.type_url == "type.googleapis.com/google.protobuf.UInt32Value" and back.typed_config.value == b"\x08\x07"


@pytest.mark.parametrize("text, words", [
    ('{"nme": 1}', "nme: unknown field"),
    ('{"name": 1}', "name: text"),
    ('{"type": "EDDS"}', "type: .*EDDS"),
    ('{"connect_timeout": "1"}', "connect_timeout: .*duration"),
    ('{"connect_timeout": "315576000001s"}', "connect_timeout"),
    ('{"connectTimeout": "1s", "connect_timeout": "1s"}', "both spellings"),
    ('{"type": "EDS", "cluster_type": {}}', "oneof"),
    ('{"per_connection_buffer_limit_bytes": 4294967296}', "per_connection_buffer_limit_bytes: .*range"),
    ('{"per_connection_buffer_limit_bytes": -1}', "per_connection_buffer_limit_bytes: .*range"),
    ('{"per_connection_buffer_limit_bytes": 1.5}', "integer"),
    ('{"health_checks": {}}', "health_checks: a list"),
    ('{"health_checks": [{"timeout": "1s"}, null]}', r"health_checks\[1\]: null"),
    ('{"load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"hostname": []}}]}]}}',
     r"load_assignment.endpoints\[0\].lb_endpoints\[0\].endpoint.hostname: text"),
    ('{"typed_extension_protocol_options": {"a.b": {"@type": "x.Y"}}}', r'typed_extension_protocol_options\["a.b"\]: unknown type'),
    ('{"typed_extension_protocol_options": {"a.b": {"x": 1}}}', "@type is missing"),
    ('[]', "object"),
])
def test_refused_json(driver, text, words):
    with pytest.raises(ValueError, match=words):
        driver.to_wire("envoy.config.cluster.v3.Cluster", text)


def test_too_deep(driver):
    deep = '{"node":{"metadata":' + '{"a":' * 60 + "1" + "}" * 60 + "}}"
    with pytest.raises(ValueError, match="too deep"):
        driver.to_wire("envoy.service.discovery.v3.DiscoveryRequest", deep)
    wire = b""
    for i in range(150):  # ListValue.values and Value.list_value in turn
        wire = (b"\x32" if i % 2 else b"\x0a") + bytes(varint(len(wire))) + wire
    with pytest.raises(ValueError, match="too deep"):
        driver.to_json("google.protobuf.Value", wire)


def varint(n):
    while n >= 0x80:
        yield n & 0x7F | 0x80
        n >>= 7
    yield n


def test_malformed_bytes_never_crash(driver):
    r = random.Random(4)
    names = table_names("envoy_api.table")
    for i in range(3000):
        name = r.choice(names)
        message = cls_of(name)()
        Filler(i).fill(message, 1)
        data = bytearray(message.SerializeToString())
        for _ in range(r.randrange(1, 4)):
            if data:
                data[r.randrange(len(data))] = r.randrange(256)
        try:
            theirs = cls_of(name).FromString(bytes(data))
        except Exception:  # protobuf refuses it; ours may refuse or leave out, but must answer
            theirs = None
        try:
            ours = driver.to_json(name, bytes(data))
        except ValueError:
            continue
        assert isinstance(ours, (dict, list, str, int, float, bool, type(None))) and theirs is not ours
