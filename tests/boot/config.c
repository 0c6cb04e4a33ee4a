/*
 * Configuration by JSON and by variables. With the name of a TAP as argument, that becomes a device by it, and a server at 10.77.0.1, TCP port
 * 7777, is talked to.
 */
#include <lkl.h>
#include <lkl_host.h>
#include <lkl_config.h>

#include <arpa/inet.h>
#include <string.h>

#include "tap.h"

static char printed[8192];
static size_t printed_len;

static void print(const char *str, int len)
{
	if (printed_len + (size_t)len < sizeof(printed)) {
		memcpy(printed + printed_len, str, (size_t)len);
		printed_len += (size_t)len;
	}
}

static int says(const char *text)
{
	int there = strstr(printed, text) != 0;

	if (!there)
		printf("# it says: %s\n", printed);
	memset(printed, 0, sizeof(printed));
	printed_len = 0;
	return there;
}

static void json(void)
{
	struct lkl_config cfg;

	memset(&cfg, 0, sizeof(cfg));
	/* Commas as LKL's users write them; values of any simple kind. */
	is(lkl_load_config_json(&cfg, "{ \"gateway\":\"10.0.0.1\" \"debug\": 1, \"delay_main\":\"5\", \"interfaces\": ["
				      "{\"type\":\"tap\" \"param\":\"tap0\", \"mtu\":\"1400\",}, {\"type\":\"raw\"} ], }"), 0);
	is(strcmp(cfg.gateway, "10.0.0.1"), 0);
	is(strcmp(cfg.debug, "1"), 0);
	is(strcmp(cfg.delay_main, "5"), 0);
	is(cfg.ifnum, 2);
	is(strcmp(cfg.ifaces->iftype, "tap"), 0);
	is(strcmp(cfg.ifaces->ifmtu_str, "1400"), 0);
	is(strcmp(cfg.ifaces->next->iftype, "raw"), 0);
	is(cfg.ifaces->next->next == 0, 1);
	/* What is wrong changes nothing. */
	is(lkl_load_config_json(&cfg, "{\"gateway\":\"10.0.0.9\", \"getaway\":\"1\"}"), -LKL_EINVAL);
	is(says("unexpected key in json getaway"), 1);
	is(strcmp(cfg.gateway, "10.0.0.1"), 0);
	is(lkl_load_config_json(&cfg, "{\"interfaces\":[{\"typo\":\"tap\"}]}"), -LKL_EINVAL);
	is(says("unexpected key in json typo"), 1);
	is(lkl_load_config_json(&cfg, "{\"gateway\""), -LKL_EINVAL);
	is(says("expected JSON: "), 1);
	is(lkl_load_config_json(&cfg, "[1]"), -LKL_EINVAL);
	is(lkl_load_config_json(&cfg, 0), -LKL_EINVAL);
	is(lkl_load_config_json(0, "{}"), -LKL_EINVAL);
	is(lkl_load_config_json(&cfg, ""), 0);
	says("");
	lkl_show_config(&cfg);
	is(says("gateway: 10.0.0.1\n"), 1);
	lkl_show_config(&cfg);
	is(says("interface 1\n  type: raw\n"), 1);
	is(lkl_unload_config(&cfg), 0);
	is(cfg.gateway == 0 && cfg.ifaces == 0 && cfg.ifnum == 0, 1);
	is(lkl_unload_config(&cfg), 0);
}

static void environment(void)
{
	struct lkl_config cfg;

	memset(&cfg, 0, sizeof(cfg));
	setenv("LKL_HIJACK_NET_GATEWAY", "10.0.0.1", 1);
	is(lkl_load_config_env(&cfg), 0);
	is(cfg.ifaces == 0, 1);
	setenv("LKL_HIJACK_NET_IFTYPE", "tap", 1);
	setenv("LKL_HIJACK_NET_IP", "10.0.0.2", 1);
	setenv("LKL_HIJACK_SYSCTL", "a.b=1", 1);
	is(lkl_load_config_env(&cfg), 0);
	is(cfg.ifnum, 1);
	is(strcmp(cfg.ifaces->iftype, "tap"), 0);
	is(strcmp(cfg.ifaces->ifip, "10.0.0.2"), 0);
	is(strcmp(cfg.sysctls, "a.b=1"), 0);
	/* JSON takes its place, key by key; its interfaces all of them. */
	is(lkl_load_config_json(&cfg, "{\"interfaces\":[{\"param\":\"x\"}]}"), 0);
	is(strcmp(cfg.gateway, "10.0.0.1"), 0);
	is(cfg.ifnum == 1 && !cfg.ifaces->iftype && !strcmp(cfg.ifaces->ifparams, "x"), 1);
	is(lkl_unload_config(&cfg), 0);
	unsetenv("LKL_HIJACK_NET_GATEWAY");
	unsetenv("LKL_HIJACK_NET_IFTYPE");
	unsetenv("LKL_HIJACK_NET_IP");
	unsetenv("LKL_HIJACK_SYSCTL");
}

static void wrong_values(void)
{
	static const char *const bad[][2] = {
		{ "{\"interfaces\":[{\"type\":\"tape\",\"param\":\"x\"}]}", "type tape: expected" },
		{ "{\"interfaces\":[{\"type\":\"tap\",\"param\":\"not-there\"}]}", "not-there: expected a TAP" },
		{ "{\"interfaces\":[{\"type\":\"tap\",\"mac\":\"1:2\"}]}", "mac 1:2: expected" },
		{ "{\"interfaces\":[{\"type\":\"tap\",\"offload\":\"all\"}]}", "offload all: expected" },
	};
	struct lkl_config cfg;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&cfg, 0, sizeof(cfg));
		is(lkl_load_config_json(&cfg, bad[i][0]), 0);
		is(lkl_load_config_pre(&cfg) < 0, 1);
		is(says(bad[i][1]), 1);
		is(lkl_unload_config(&cfg), 0);
	}
	is(lkl_load_config_pre(0), 0);
	is(lkl_load_config_post(0), 0);
	memset(&cfg, 0, sizeof(cfg));
	is(lkl_load_config_post(&cfg), -LKL_ENODEV);
	is(lkl_load_config_json(&cfg, "{\"gateway\":\"10.0.0\",\"sysctl\":\"net.ipv4.tcp_sack=0;net.nothing=1\",\"mount\":\"a/b\"}"), 0);
	is(lkl_load_config_pre(&cfg), 0);
	is(lkl_init(&lkl_host_ops), 0);
	is(lkl_start_kernel_fmt("mem=16M"), 0);
	/* The first that fails is the answer, all of them are said, and the rest is done. */
	is(lkl_load_config_post(&cfg), -LKL_EINVAL);
	is(strstr(printed, "mount a/b: Invalid argument") != 0, 1);
	is(strstr(printed, "gateway 10.0.0: Invalid argument") != 0, 1);
	is(says("sysctl net.nothing=1: No such file or directory"), 1);
	is(lkl_sysctl("net.ipv4.tcp_sack", "1"), 0);
	is(lkl_unload_config(&cfg), 0);
	is(lkl_sys_halt(), 0);
}

static void a_device(const char *tap)
{
	struct lkl_sockaddr_in to = { LKL_AF_INET, htons(7777), { inet_addr("10.77.0.1") }, { 0 } };
	struct lkl_config cfg;
	char text[1024], buf[8] = "";
	int ifindex;
	long fd;

	memset(&cfg, 0, sizeof(cfg));
	snprintf(text, sizeof(text),
		 "{\"gateway\":\"10.77.0.1\", \"gateway6\":\"fd77::1\", \"sysctl\":\"net.ipv4.tcp_sack=1\", \"boot_cmdline\":\"mem=32M\","
		 "\"interfaces\":[{\"type\":\"tap\",\"param\":\"%s\",\"mac\":\"02:00:00:00:00:05\",\"ip\":\"10.77.0.2\",\"masklen\":\"24\","
		 "\"ipv6\":\"fd77::2\",\"masklen6\":\"64\",\"mtu\":\"1400\",\"offload\":\"0x8883\",\"ifgateway\":\"10.77.0.1\","
		 "\"ifgateway6\":\"fd77::1\",\"neigh\":\"10.77.0.9|02:00:00:00:00:09;fd77::9|02:00:00:00:00:09\",\"qdisc\":\"root|fq\"}]}",
		 tap);
	is(lkl_load_config_json(&cfg, text), 0);
	is(lkl_load_config_pre(&cfg), 0);
	is(lkl_start_kernel(&lkl_host_ops, "%s", cfg.boot_cmdline), 0);
	is(lkl_load_config_post(&cfg), 0);
	says("");
	ifindex = (int)good(lkl_netdev_get_ifindex(cfg.ifaces->nd->id));
	is(lkl_if_add_ip(ifindex, LKL_AF_INET, &to.sin_addr, 24), 0);
	is(lkl_if_del_ip(ifindex, LKL_AF_INET, &to.sin_addr, 24), 0);
	fd = good(lkl_sys_socket(LKL_AF_INET, LKL_SOCK_STREAM, 0));
	is(lkl_sys_connect(fd, (struct lkl_sockaddr *)&to, sizeof(to)), 0);
	is(lkl_sys_send(fd, "hello", 6, 0), 6);
	is(lkl_sys_recv(fd, buf, 6, LKL_MSG_WAITALL), 6);
	is(strcmp(buf, "hello"), 0);
	is(lkl_sys_close(fd), 0);
	is(lkl_unload_config(&cfg), 0);
	is(lkl_netdev_get_ifindex(0), -LKL_ENODEV);
	is(lkl_sys_halt(), 0);
}

int main(int argc, char **argv)
{
	lkl_host_ops.print = print;
	json();
	environment();
	wrong_values();
	if (argc > 1)
		a_device(argv[1]);
	lkl_cleanup();
	return tap_end();
}
