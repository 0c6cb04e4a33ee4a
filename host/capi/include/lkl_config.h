/*
 * Configuration by JSON and by LKL_HIJACK_* variables: README.md has the names. Every value is a string, as it was written; null if not set.
 */
#ifndef LKL_CONFIG_H
#define LKL_CONFIG_H

#include <lkl.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LKL_CONFIG_JSON_TOKEN_MAX 300

struct lkl_config_iface {
	struct lkl_config_iface *next;
	struct lkl_netdev *nd;

	char *iftap;
	char *iftype;
	char *ifparams;
	char *ifmtu_str;
	char *ifip;
	char *ifipv6;
	char *ifgateway;
	char *ifgateway6;
	char *ifmac_str;
	char *ifnetmask_len;
	char *ifnetmask6_len;
	char *ifoffload_str;
	char *ifneigh_entries;
	char *ifqdisc_entries;
};

struct lkl_config {
	int ifnum;
	struct lkl_config_iface *ifaces;

	char *gateway;
	char *gateway6;
	char *debug;
	char *mount;
	char *single_cpu;
	char *sysctls;
	char *boot_cmdline;
	char *dump;
	char *delay_main;
};

/*
 * cfg must be zeroed, or filled by another of the two: what is loaded later takes the place of what is there. An unknown key, or text that is
 * not JSON, is -LKL_EINVAL, and is printed. An empty text sets nothing.
 */
int lkl_load_config_json(struct lkl_config *cfg, const char *jstr);
int lkl_load_config_env(struct lkl_config *cfg);

/* Prints it. */
void lkl_show_config(struct lkl_config *cfg);

/* Before the kernel starts: makes the devices and gives them to it. */
int lkl_load_config_pre(struct lkl_config *cfg);

/* After it has started: addresses, routes, neighbours, settings, mounts. */
int lkl_load_config_post(struct lkl_config *cfg);

/* Prints the files of "dump", removes the devices, and frees all that cfg refers to. */
int lkl_unload_config(struct lkl_config *cfg);

#ifdef __cplusplus
}
#endif

#endif
