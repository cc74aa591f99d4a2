# The tables of lib/envoy -> C: the descriptor table (envoy_table.c), the handles and enums of all messages (types.h), and one header
# of typed setters per package. usage: awk -v out=DIR -f hack/gen-envoy.awk TABLE... (run with LC_ALL=C: names sort by byte).
# Plain awk, so that `make` needs no Python. The table's format is described at its top.

function die(text) { print FILENAME ":" FNR ": " text >"/dev/stderr"; failed = 1; exit 1 }

function cname(full) {
	sub(/^envoy\./, "", full)
	if (full ~ /^config\./) sub(/^config\./, "", full)
	else sub(/^extensions\./, "", full)
	gsub(/\./, "_", full)
	return full
}
function resolve(name) { return substr(name, 1, 1) == "." ? substr(name, 2) : pkg "." name }
function claim(ident, what) {
	if (ident in claimed) die("C name " ident " would stand for " claimed[ident] " and " what)
	claimed[ident] = what
}
function sort(a, lo, hi,    i, last, t) { # quicksort of a[lo..hi]
	if (lo >= hi) return
	i = int((lo + hi) / 2); t = a[lo]; a[lo] = a[i]; a[i] = t
	last = lo
	for (i = lo + 1; i <= hi; i++)
		if (a[i] < a[lo]) { last++; t = a[last]; a[last] = a[i]; a[i] = t }
	t = a[lo]; a[lo] = a[last]; a[last] = t
	sort(a, lo, last - 1); sort(a, last + 1, hi)
}
function pool(name,    at) { # offset and length of a name in the pool
	if (!(name in pooled)) {
		if (length(name) > 255) die("a name of over 255 bytes: " name)
		pooled[name] = pool_bytes
		pool_text[++pool_n] = name
		pool_bytes += length(name) + 1
	}
	return pooled[name] * 256 + length(name)
}

BEGIN {
	split("double float int64 uint64 int32 fixed64 fixed32 bool string - - bytes uint32 - sfixed32 sfixed64 sint32 sint64", tn, " ")
	for (i in tn) if (tn[i] != "-") type_code[tn[i]] = i
	c_type["double"] = "double"; c_type["float"] = "float"; c_type["bool"] = "bool"
	c_type["int64"] = c_type["sint64"] = c_type["sfixed64"] = "int64_t"
	c_type["int32"] = c_type["sint32"] = c_type["sfixed32"] = "int32_t"
	c_type["uint64"] = c_type["fixed64"] = "uint64_t"
	c_type["uint32"] = c_type["fixed32"] = "uint32_t"
	c_type["string"] = c_type["bytes"] = "struct cox_str"
	P = "google.protobuf."
	wrapper[P "DoubleValue"] = "double"; wrapper[P "FloatValue"] = "float"; wrapper[P "BoolValue"] = "bool"
	wrapper[P "Int64Value"] = "int64"; wrapper[P "UInt64Value"] = "uint64"; wrapper[P "Int32Value"] = "int32"
	wrapper[P "UInt32Value"] = "uint32"; wrapper[P "StringValue"] = "string"; wrapper[P "BytesValue"] = "bytes"
	kind[P "Any"] = "ANY"; kind[P "Struct"] = "STRUCT"; kind[P "Value"] = "VALUE"; kind[P "ListValue"] = "LIST"
	kind[P "Duration"] = "DURATION"; kind[P "Timestamp"] = "TIMESTAMP"; kind[P "FieldMask"] = "FIELD_MASK"
	for (w in wrapper) kind[w] = "WRAPPER"
}

/^#/ || NF == 0 { next }
/^p / { pkg = $2; if (!(pkg in have_pkg)) { have_pkg[pkg] = 1; pkgs[++pkg_n] = pkg } next }
/^m / {
	cur = pkg "." $2; cur_enum = ""
	if (cur in field_n) die("message " cur " is there twice")
	field_n[cur] = 0; msgs[++msg_n] = cur; msg_pkg[cur] = pkg
	claim("pb_" cname(cur) " ", cur) # structs have a name space of their own
	next
}
/^x / { # fields more for a message of the table before
	cur = pkg "." $2; cur_enum = ""
	if (!(cur in field_n)) die("no message " cur " to extend")
	last_num = f_num[cur SUBSEP field_n[cur]]
	next
}
/^e / {
	cur_enum = pkg "." $2; cur = ""
	if (cur_enum in value_n) die("enum " cur_enum " is there twice")
	value_n[cur_enum] = 0; enums[++enum_n] = cur_enum
	claim("pb_" cname(cur_enum) " ", cur_enum)
	next
}
/^ / && cur_enum != "" {
	i = ++value_n[cur_enum]
	value_num[cur_enum, i] = $1; value_name[cur_enum, i] = $2
	scope = cur_enum; sub(/\.[^.]*$/, "", scope)
	id = "PB_" cname(scope) "_" $2
	claim(id, cur_enum "." $2)
	value_id[cur_enum, i] = id
	next
}
/^ / && cur != "" {
	i = ++field_n[cur]
	f = cur SUBSEP i
	f_num[f] = $1 + 0; f_name[f] = $2
	if ($1 + 0 <= last_num && i > 1 || $1 + 0 >= 16777216) die("field numbers must rise and stay below 2^24: " $0)
	last_num = $1 + 0
	t = $3
	if (sub(/^\[u\]/, "", t)) f_rep[f] = 1
	else if (sub(/^\[\]/, "", t)) { f_rep[f] = 1; f_packed[f] = 1 }
	else if (t ~ /^\{/) {
		f_map[f] = substr(t, 2, index(t, "}") - 2)
		t = substr(t, index(t, "}") + 1)
	}
	if (t ~ /^[me]:/) { f_kind[f] = substr(t, 1, 1); f_sub[f] = resolve(substr(t, 3)); t = "" }
	else { f_kind[f] = "s"; f_type[f] = t; if (!(t in type_code)) die("unknown type " t) }
	if (f_kind[f] != "s" || t == "string" || t == "bytes") if (f_kind[f] != "e") delete f_packed[f]
	for (k = 4; k <= NF; k++) {
		if ($k == "?") f_presence[f] = 1
		else if ($k ~ /^\|/) f_oneof[f] = substr($k, 2)
		else if ($k ~ /^=/) die("JSON names of their own are not supported yet")
		else die("cannot read " $k)
	}
	next
}
{ die("cannot read this line") }

# --- setters --------------------------------------------------------------------------------

# Sets put_fn, put_v (how the value is written), put_zero (when it is the default) for scalar type `t`.
function scalar(t) {
	put_zero = "v == 0"; put_v = "v"; put_fn = "varint"
	if (t == "double" || t == "fixed64" || t == "sfixed64") put_fn = "fixed64"
	if (t == "float" || t == "fixed32" || t == "sfixed32") put_fn = "fixed32"
	if (t == "double" || t == "float") { put_v = "cox_pb_" t "_bits(v)"; put_zero = put_v " == 0" }
	if (t == "sfixed64") put_v = "(uint64_t)v"
	if (t == "sfixed32") put_v = "(uint32_t)v"
	if (t == "int64" || t == "int32" || t == "enum") put_v = "(uint64_t)(int64_t)v"
	if (t == "sint64" || t == "sint32") put_v = "cox_pb_zigzag(v)"
	if (t == "bool") put_zero = "!v"
	if (t == "string" || t == "bytes") { put_fn = "bytes"; put_zero = "v.n == 0" }
}
function setter(m, f,    cm, fn, h, t, vt, handle, entry) {
	cm = "pb_" cname(m); fn = cm "_" f_name[f]; handle = "struct " cm " m"; h = "static inline "
	claim(fn, m "." f_name[f])
	if (f_kind[f] == "m") t = f_sub[f] in wrapper ? "wrapper" : f_sub[f] == "google.protobuf.Duration" ? "duration" : "message"
	else t = f_kind[f] == "e" ? "enum" : f_type[f]
	if (t == "enum") vt = "enum pb_" cname(f_sub[f])
	else if (t == "wrapper") vt = c_type[wrapper[f_sub[f]]]
	else if (t == "duration") vt = "int64_t"
	else vt = c_type[t]
	if (f in f_map) {
		entry = f_map[f] == "string" ? "cox_pb_map_entry(m.at, " f_num[f] ", key)" : "cox_pb_map_entry_varint(m.at, " f_num[f] ", (uint64_t)key)"
		handle = handle ", " c_type[f_map[f]] " key"
		if (t == "message")
			return h "struct pb_" cname(f_sub[f]) " " fn "(" handle ") { return (struct pb_" cname(f_sub[f]) "){ cox_pb_map_value(" entry ") }; }\n" \
			       h "void " fn "_raw(" handle ", struct cox_str v) { struct cox_pb_at e = " entry "; cox_pb_put_bytes(e, 2, v); cox_pb_end(e); }"
		return h "void " fn "(" handle ", " vt " v) { struct cox_pb_at e = " entry "; " put("e", 2, t, f) " cox_pb_end(e); }"
	}
	if (t == "message")
		return h "struct pb_" cname(f_sub[f]) " " fn "(" handle ") { return (struct pb_" cname(f_sub[f]) "){ cox_pb_begin(m.at, " f_num[f] ") }; }\n" \
		       h "void " fn "_raw(" handle ", struct cox_str v) { cox_pb_put_bytes(m.at, " f_num[f] ", v); }"
	if (f in f_packed) {
		scalar(t)
		return h "void " fn "(" handle ", " vt " v) { cox_pb_pack_" put_fn "(m.at, " f_num[f] ", " put_v "); }"
	}
	if (t == "wrapper" || t == "duration" || f in f_rep || f in f_presence || f in f_oneof)
		return h "void " fn "(" handle ", " vt " v) { " put("m.at", f_num[f], t, f) " }"
	scalar(t)
	return h "void " fn "(" handle ", " vt " v) { if (!(" put_zero ")) " put("m.at", f_num[f], t, f) " }"
}
function put(at, number, t, f,    w) {
	if (t == "duration") return "cox_pb_put_duration(" at ", " number ", v);"
	if (t == "wrapper") {
		w = wrapper[f_sub[f]]; scalar(w)
		if (w == "double" || w == "float") return "cox_pb_put_wrapped_" w "(" at ", " number ", v);"
		return "cox_pb_put_wrapped_" put_fn "(" at ", " number ", " put_v ");"
	}
	scalar(t)
	return "cox_pb_put_" put_fn "(" at ", " number ", " put_v ");"
}
function write_package(p, o,    i, k, m) {
	o = cname(p)
	claim("header " o, p)
	guard = "COX_GEN_ENVOY_" toupper(o) "_H"
	o = out "/" o ".h"
	print "/* Setters of package " p ". Generated by hack/gen-envoy.awk; rules of use: lib/envoy/envoy.h. */\n#ifndef " guard "\n#define " guard "\n#include \"envoy/types.h\"" >o
	for (i = 1; i <= msg_n; i++) {
		m = msgs[i]
		if (msg_pkg[m] != p) continue
		print "\n/* " m " */" >o
		if (field_n[m] == 0) continue
		printf "enum {" >o
		for (k = 1; k <= field_n[m]; k++) printf "%s PB_%s_%s__NUM = %d", (k == 1 ? "" : ","), cname(m), f_name[m, k], f_num[m, k] >o
		print " };" >o
		for (k = 1; k <= field_n[m]; k++) print setter(m, m SUBSEP k) >o
	}
	print "\n#endif" >o
	close(o)
}
function write_types(    o, i, k, e, p) {
	o = out "/types.h"
	print "/* Handles, type URLs and enums of every message. Generated by hack/gen-envoy.awk. */\n#ifndef COX_GEN_ENVOY_TYPES_H\n#define COX_GEN_ENVOY_TYPES_H\n#include \"codec/pb_write.h\"\n" >o
	for (i = 1; i <= msg_n; i++) {
		p = "pb_" cname(msgs[i])
		print "struct " p " { struct cox_pb_at at; };\n#define " p "_TYPE_URL \"type.googleapis.com/" msgs[i] "\"" >o
	}
	for (i = 1; i <= enum_n; i++) {
		e = enums[i]
		printf "enum pb_%s {", cname(e) >o
		for (k = 1; k <= value_n[e]; k++) printf "%s %s = %s", (k == 1 ? "" : ","), value_id[e, k], (value_num[e, k] == -2147483648 ? "(-2147483647 - 1)" : value_num[e, k]) >o
		print " };" >o
	}
	print "\n#endif" >o
	close(o)
}

# --- the descriptor table --------------------------------------------------------------------

function field_row(f, m,    flags, sub_at, code, oneof) {
	flags = 0
	if (f in f_rep || f in f_map) flags += 1
	if (f in f_packed) flags += 2
	if (f in f_presence) flags += 4
	if (f in f_map) flags += 8
	code = f_kind[f] == "m" ? 11 : f_kind[f] == "e" ? 14 : type_code[f_type[f]]
	sub_at = 0
	if (f_kind[f] == "m") { if (!(f_sub[f] in msg_index)) die("no message " f_sub[f] " for " m); sub_at = msg_index[f_sub[f]] }
	if (f_kind[f] == "e") { if (!(f_sub[f] in enum_index)) die("no enum " f_sub[f] " for " m); sub_at = enum_index[f_sub[f]] }
	oneof = 0
	if (f in f_oneof) {
		if (!((m, f_oneof[f]) in oneof_index)) oneof_index[m, f_oneof[f]] = ++oneof_count[m]
		oneof = oneof_index[m, f_oneof[f]]
	}
	if (f in f_map) { # refers to a synthetic entry message behind the named ones
		entry_key[++entry_n] = f_map[f]; entry_code[entry_n] = code; entry_sub[entry_n] = sub_at
		code = 11; sub_at = msg_n + entry_n - 1
	}
	return "{" pool(f_name[f]) "u," f_num[f] "," oneof "," sub_at "," code "," flags "}"
}
function write_table(    o, i, k, m, rows, at, e) {
	for (i = 1; i <= msg_n; i++) msg_index[msgs[i]] = i - 1
	for (i = 1; i <= enum_n; i++) enum_index[enums[i]] = i - 1
	o = out "/envoy_table.c"
	print "/* The descriptor table. Generated by hack/gen-envoy.awk. */\n#include \"envoy/table_priv.h\"\n" >o
	print "const struct envoy_field_row envoy_fields[] = {" >o
	at = 0
	for (i = 1; i <= msg_n; i++) {
		m = msgs[i]; first[m] = at
		for (k = 1; k <= field_n[m]; k++) { print field_row(m SUBSEP k, m) "," >o; at++ }
	}
	for (i = 1; i <= entry_n; i++) {
		print "{" pool("key") "u,1,0,0," type_code[entry_key[i]] ",4}," >o
		print "{" pool("value") "u,2,0," entry_sub[i] "," entry_code[i] "," (entry_code[i] == 11 ? 0 : 4) "}," >o
	}
	print "};\nconst struct envoy_message_row envoy_messages[] = {" >o
	if (at + 2 * entry_n > 65535) die("more than 65535 fields")
	for (i = 1; i <= msg_n; i++) {
		m = msgs[i]
		print "{" pool(m) "u," first[m] "," field_n[m] ",COX_ENVOY_" (m in kind ? kind[m] : "PLAIN") "}," >o
	}
	for (i = 1; i <= entry_n; i++) print "{" pool("") "u," at + 2 * (i - 1) ",2,COX_ENVOY_MAP_ENTRY}," >o
	print "};\nconst uint32_t envoy_message_count = " msg_n ";\nconst struct envoy_value_row envoy_values[] = {" >o
	at = 0
	for (i = 1; i <= enum_n; i++) {
		e = enums[i]; first[e " enum"] = at
		for (k = 1; k <= value_n[e]; k++) { print "{" pool(value_name[e, k]) "u," (value_num[e, k] == -2147483648 ? "(-2147483647 - 1)" : value_num[e, k]) "}," >o; at++ }
	}
	print "};\nconst struct envoy_enum_row envoy_enums[] = {" >o
	for (i = 1; i <= enum_n; i++) print "{" pool(enums[i]) "u," first[enums[i] " enum"] "," value_n[enums[i]] "}," >o
	print "};\nconst char envoy_names[] =" >o
	for (i = 1; i <= pool_n; i++) print "\"" pool_text[i] "\\0\"" >o
	print ";" >o
	close(o)
}

END {
	if (failed) exit 1
	sort(msgs, 1, msg_n)
	sort(enums, 1, enum_n)
	write_types()
	for (i = 1; i <= pkg_n; i++) write_package(pkgs[i])
	write_table()
}
