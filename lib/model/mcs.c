#include "model/mcs.h"

#include "model/tables_priv.h"

#define OPEN .open = true

static const struct cox_field service_export_fields[] = { F(service_export, spec, "spec", RAW, "Nothing.") };
OBJECT(service_export, service_export, "ServiceExport", "The Service of this name is offered to other clusters.", OPEN);

static const struct cox_field import_port_fields[] = {
	F(import_port, name, "name", STR, "Its name."),
	F(import_port, port, "port", I64, "Its number."),
};
static MESSAGE(import_port, "ServicePort", "", OPEN);
static const struct cox_field import_spec_fields[] = {
	F(import_spec, type, "type", STR, "ClusterSetIP or Headless."),
	F(import_spec, ips, "ips", STR, "Addresses of the service in all clusters.", LIST),
	F(import_spec, ports, "ports", MSG, "Its ports.", LIST, SUB(import_port)),
};
static MESSAGE(import_spec, "ServiceImportSpec", "", OPEN);
static const struct cox_field service_import_fields[] = { F(service_import, spec, "spec", MSG, "What is imported.", SUB(import_spec)) };
OBJECT(service_import, service_import, "ServiceImport", "A service that some cluster exports.", OPEN);
