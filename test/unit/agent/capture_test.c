/* The rules of traffic capture: as istio-iptables has them, one transaction, the same after a rerun.
 * covers: h21 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/capture.h"
#include "agent/run.h"

static bool has_line(struct cox_buf *b, const char *line)
{
	struct cox_str rest = cox_buf_str(b), part;
	while (rest.p && cox_str_next(&rest, '\n', &part))
		if (cox_str_eq_cstr(part, line))
			return true;
	return false;
}

static ptrdiff_t where(struct cox_buf *b, const char *text) { return cox_str_search(cox_buf_str(b), cox_str_of(text)); }

static void test_defaults_capture_everything(void **state)
{
	(void)state;
	struct cox_agent_capture c;
	struct cox_buf b = { 0 };
	cox_agent_capture_defaults(&c);
	c.exclude_inbound_ports = COX_STR("15090, 15021,15020");
	assert_int_equal(cox_agent_capture_check(&c, NULL), COX_OK);
	cox_agent_capture_build(&c, false, COX_STR(""), &b);
	assert_true(has_line(&b, "-A PREROUTING -p tcp -j ISTIO_INBOUND"));
	assert_true(has_line(&b, "-A OUTPUT -p tcp -j ISTIO_OUTPUT"));
	assert_true(has_line(&b, "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006"));
	assert_true(has_line(&b, "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001"));
	assert_true(has_line(&b, "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN"));
	assert_true(where(&b, "--dport 15020 -j RETURN") < where(&b, "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"));
	/* The proxy's own passthrough connections come before everything, or they would go round for ever. */
	assert_true(where(&b, "-s 127.0.0.6/32 -j RETURN") < where(&b, "--uid-owner"));
	assert_true(
	    has_line(&b, "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT"));
	assert_true(where(&b, "--uid-owner 1337 -j RETURN") < where(&b, "-A ISTIO_OUTPUT -p tcp -j ISTIO_REDIRECT"));
	assert_true(cox_str_has_suffix(cox_buf_str(&b), COX_STR("COMMIT\n")));
	cox_buf_fini(&b);
}

static void test_lists_narrow_it(void **state)
{
	(void)state;
	struct cox_agent_capture c;
	struct cox_buf b = { 0 }, b6 = { 0 };
	cox_agent_capture_defaults(&c);
	c.include_cidrs = COX_STR("10.1.0.0/16,fd00::/8");
	c.exclude_cidrs = COX_STR("10.1.2.3/32");
	c.include_inbound_ports = COX_STR("80,81");
	c.exclude_outbound_ports = COX_STR("9999");
	c.include_outbound_ports = COX_STR("3306");
	c.kube_interfaces = COX_STR("virbr0");
	c.exclude_interfaces = COX_STR("eth1");
	assert_int_equal(cox_agent_capture_check(&c, NULL), COX_OK);
	cox_agent_capture_build(&c, false, COX_STR(""), &b);
	cox_agent_capture_build(&c, true, COX_STR(""), &b6);
	assert_true(has_line(&b, "-A ISTIO_OUTPUT -d 10.1.0.0/16 -p tcp -j ISTIO_REDIRECT"));
	assert_true(has_line(&b6, "-A ISTIO_OUTPUT -d fd00::/8 -p tcp -j ISTIO_REDIRECT"));
	assert_true(where(&b, "fd00") < 0);
	assert_true(where(&b6, "10.1.") < 0);
	assert_true(where(&b6, "::6/128") > 0);
	assert_true(where(&b, "-d 10.1.2.3/32 -j RETURN") < where(&b, "-d 10.1.0.0/16 -p tcp -j ISTIO_REDIRECT") ||
	            where(&b, "virbr0") > 0);
	assert_true(has_line(&b, "-A ISTIO_INBOUND -p tcp --dport 80 -j ISTIO_IN_REDIRECT"));
	assert_false(has_line(&b, "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT -p tcp --dport 9999 -j RETURN"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT -p tcp --dport 3306 -j ISTIO_REDIRECT"));
	assert_true(has_line(&b, "-A ISTIO_INBOUND -i virbr0 -d 10.1.0.0/16 -p tcp -j ISTIO_REDIRECT"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT -o eth1 -j RETURN"));
	cox_buf_fini(&b);
	cox_buf_fini(&b6);
}

static void test_rerun_takes_old_jumps_out(void **state)
{
	(void)state;
	struct cox_agent_capture c;
	struct cox_buf b = { 0 };
	struct cox_str saved = COX_STR(
	    "*nat\n:OUTPUT ACCEPT [0:0]\n:ISTIO_INBOUND - [0:0]\n-A PREROUTING -p tcp -j ISTIO_INBOUND\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\n"
	    "-A OUTPUT -d 1.2.3.4/32 -j ACCEPT\nCOMMIT\n");
	cox_agent_capture_defaults(&c);
	cox_agent_capture_build(&c, false, saved, &b);
	assert_true(has_line(&b, "-D OUTPUT -p tcp -j ISTIO_OUTPUT"));
	assert_true(has_line(&b, "-D PREROUTING -p tcp -j ISTIO_INBOUND"));
	assert_true(where(&b, "1.2.3.4") < 0); /* somebody else's rule stays */
	cox_buf_clear(&b);
	cox_agent_capture_build_clean(saved, &b);
	assert_true(has_line(&b, "-D OUTPUT -p tcp -j ISTIO_OUTPUT"));
	assert_true(has_line(&b, "-X ISTIO_REDIRECT"));
	assert_true(where(&b, "-A ") < 0);
	cox_buf_fini(&b);
}

static void test_tproxy_and_dns(void **state)
{
	(void)state;
	struct cox_agent_capture c;
	struct cox_buf b = { 0 }, n = { 0 };
	cox_agent_capture_defaults(&c);
	c.mode = COX_STR("TPROXY");
	c.redirect_dns = true;
	c.dns_servers = COX_STR("10.96.0.10,fd00::a");
	assert_int_equal(cox_agent_capture_check(&c, NULL), COX_OK);
	cox_agent_capture_build(&c, false, COX_STR(""), &b);
	assert_true(has_line(&b, "-A ISTIO_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --tproxy-mark 1337/0xffffffff --on-port 15006"));
	assert_true(has_line(&b, "-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark"));
	assert_false(has_line(&b, "-A PREROUTING -p tcp -j ISTIO_IN_REDIRECT"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT_DNS -d 10.96.0.10 -p udp --dport 53 -j REDIRECT --to-ports 15053"));
	assert_true(where(&b, "fd00::a") < 0);
	/* The proxy's own questions come first, or they would come back to it for ever. */
	assert_true(where(&b, "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner --uid-owner 1337 -j RETURN") <
	            where(&b, "-A ISTIO_OUTPUT_DNS -d 10.96.0.10 -p udp"));
	assert_true(has_line(&b, "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner --uid-owner 1337 -j CT --zone 1"));
	cox_agent_capture_build_nft(&c, true, &n);
	assert_true(cox_str_has_prefix(cox_buf_str(&n), COX_STR("table ip6 coxswain\ndelete table ip6 coxswain\ntable ip6 coxswain {\n")));
	assert_true(where(&n, "ip6 daddr fd00::a udp dport 53 redirect to :15053") > 0 && where(&n, "10.96.0.10") < 0);
	assert_true(where(&n, "tproxy to :15006 meta mark set 1337 accept") > 0);
	assert_true(where(&n, "type route hook output priority -150") > 0);
	/* Tables that another run needed and this one does not are cleared. */
	cox_buf_clear(&b);
	cox_agent_capture_defaults(&c);
	cox_agent_capture_build(
	    &c, false,
	    COX_STR(
	        "*mangle\n:ISTIO_DIVERT - [0:0]\n-A PREROUTING -p tcp -j ISTIO_INBOUND\nCOMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"),
	    &b);
	assert_true(has_line(&b, "-X ISTIO_DIVERT") && has_line(&b, "-D PREROUTING -p tcp -j ISTIO_INBOUND") && where(&b, "*raw") < 0);
	cox_buf_fini(&b);
	cox_buf_fini(&n);
}

static void test_refused(void **state)
{
	(void)state;
	struct {
		size_t offset;
		const char *value, *flag;
	} bad[] = {
		{ offsetof(struct cox_agent_capture, mode), "NONE", "-m" },
		{ offsetof(struct cox_agent_capture, include_cidrs), "10.0.0.0/33", "-i" },
		{ offsetof(struct cox_agent_capture, include_cidrs), "host", "-i" },
		{ offsetof(struct cox_agent_capture, exclude_cidrs), "10.0.0.0/8 -j ACCEPT", "-x" },
		{ offsetof(struct cox_agent_capture, exclude_cidrs), "*", "-x" },
		{ offsetof(struct cox_agent_capture, exclude_inbound_ports), "0", "-d" },
		{ offsetof(struct cox_agent_capture, exclude_inbound_ports), "65536", "-d" },
		{ offsetof(struct cox_agent_capture, include_inbound_ports), "80 81", "-b" },
		{ offsetof(struct cox_agent_capture, include_outbound_ports), "80\n-F", "-q" },
		{ offsetof(struct cox_agent_capture, exclude_outbound_ports), "-1", "-o" },
		{ offsetof(struct cox_agent_capture, proxy_uids), "envoy", "-u" },
		{ offsetof(struct cox_agent_capture, proxy_gids), "4294967296", "-g" },
		{ offsetof(struct cox_agent_capture, kube_interfaces), "a-name-that-is-too-long", "-k" },
		{ offsetof(struct cox_agent_capture, exclude_interfaces), "-j", "-c" },
	};
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_agent_capture c;
		struct cox_err err = { 0 };
		cox_agent_capture_defaults(&c);
		*(struct cox_str *)((char *)&c + bad[i].offset) = cox_str_of(bad[i].value);
		assert_int_equal(cox_agent_capture_check(&c, &err), COX_EINVAL);
		assert_string_equal(err.path, bad[i].flag);
	}
}

static void test_run_feeds_reads_and_reports(void **state)
{
	(void)state;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	char *big = cox_alloc(300000);
	memset(big, 'x', 300000);
	const char *cat[] = { "cat", NULL }, *none[] = { "no-such-program-here", NULL };
	const char *failing[] = { "sh", "-c", "echo because >&2; exit 3", NULL };
	assert_int_equal(cox_agent_run(cat, cox_str_make(big, 300000), 0, &out, &err), COX_OK);
	assert_int_equal(out.n, 300000);
	assert_int_equal(cox_agent_run(none, COX_STR(""), 0, NULL, &err), COX_ENOTFOUND);
	/* What takes too long is killed, also when it gave its output away. */
	static const char *const slow[] = { "sh", "-c", "echo x; exec sleep 1000", NULL };
	static const char *const silent[] = { "sh", "-c", "exec >&- 2>&-; exec sleep 1000", NULL };
	assert_int_equal(cox_agent_run(slow, COX_STR(""), 200, NULL, &err), COX_ETIMEOUT);
	assert_int_equal(cox_agent_run(silent, COX_STR(""), 200, NULL, &err), COX_ETIMEOUT);
	assert_int_equal(cox_agent_run(failing, COX_STR(""), 60000, NULL, &err), COX_EIO);
	assert_int_equal(cox_agent_run(failing, COX_STR(""), 0, NULL, &err), COX_EIO);
	assert_string_equal(err.text, "exit status 3: because");
	cox_free(big);
	cox_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_capture_everything),
		cmocka_unit_test(test_lists_narrow_it),
		cmocka_unit_test(test_rerun_takes_old_jumps_out),
		cmocka_unit_test(test_tproxy_and_dns),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_run_feeds_reads_and_reports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
