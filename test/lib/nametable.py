"""istio.networking.nds.v1.NameTable, written down here anew: it shares nothing with our encoder."""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

NDS = "type.googleapis.com/istio.networking.nds.v1.NameTable"


def _make():
    f = descriptor_pb2.FileDescriptorProto(name="nds.proto", package="istio.networking.nds.v1", syntax="proto3")
    table = f.message_type.add(name="NameTable")
    info = table.nested_type.add(name="NameInfo")
    for number, (name, label) in enumerate((("ips", 3), ("registry", 1), ("shortname", 1), ("namespace", 1), ("alt_hosts", 3)), 1):
        info.field.add(name=name, number=number, label=label, type=9)
    entry = table.nested_type.add(name="TableEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".istio.networking.nds.v1.NameTable.NameInfo")
    table.field.add(name="table", number=1, label=3, type=11, type_name=".istio.networking.nds.v1.NameTable.TableEntry")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(f)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("istio.networking.nds.v1.NameTable"))


NameTable = _make()


def table_of(response):
    """{host: (ips, registry, shortname, namespace)} of a response with one name table."""
    values = [r.resource.value if hasattr(r, "resource") else r.value for r in response.resources]
    assert len(values) == 1, values
    return {h: (list(i.ips), i.registry, i.shortname, i.namespace) for h, i in NameTable.FromString(values[0]).table.items()}
