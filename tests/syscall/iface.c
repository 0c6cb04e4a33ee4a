/* What tells of the interfaces: ioctls, /proc/net, netlink, getifaddrs. */
#include "t.h"
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/ioctl.h>

CASE(ioctl_interfaces)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct ifreq r;
    struct ifconf c;
    char room[1024], text[20];
#define ASK(name, request) (memset(&r, 0, sizeof r), strcpy(r.ifr_name, name), RN(#request " " name, ioctl(fd, request, &r)))
    ASK("lo", SIOCGIFINDEX);
    printf("%d\n", r.ifr_ifindex);
    ASK("lo", SIOCGIFFLAGS);
    printf("%x\n", r.ifr_flags);
    ASK("lo", SIOCGIFMTU);
    printf("%d\n", r.ifr_mtu);
    ASK("lo", SIOCGIFADDR);
    printf("%d %s\n", r.ifr_addr.sa_family, inet_ntop(AF_INET, &((struct sockaddr_in *)&r.ifr_addr)->sin_addr, text, 20));
    ASK("lo", SIOCGIFNETMASK);
    printf("%s\n", inet_ntop(AF_INET, &((struct sockaddr_in *)&r.ifr_addr)->sin_addr, text, 20));
    ASK("lo", SIOCGIFBRDADDR);
    ASK("lo", SIOCGIFDSTADDR);
    ASK("lo", SIOCGIFHWADDR);
    printf("%d\n", r.ifr_hwaddr.sa_family);
    ASK("lo", SIOCGIFTXQLEN);
    printf("%d\n", r.ifr_qlen);
    ASK("lo", SIOCGIFMETRIC);
    ASK("lo", SIOCGIFMAP);
    ASK("nonesuch", SIOCGIFINDEX);
    ASK("nonesuch", SIOCGIFADDR);
    ASK("", SIOCGIFMTU);
    memset(&r, 0, sizeof r);
    r.ifr_ifindex = 1;
    R(ioctl(fd, SIOCGIFNAME, &r));
    printf("%s\n", r.ifr_name);
    r.ifr_ifindex = 99;
    R(ioctl(fd, SIOCGIFNAME, &r));
    c.ifc_len = sizeof room;
    c.ifc_buf = room;
    R(ioctl(fd, SIOCGIFCONF, &c));
    printf("%d %s\n", c.ifc_len, c.ifc_req[0].ifr_name);
    c.ifc_buf = 0;
    R(ioctl(fd, SIOCGIFCONF, &c));
    printf("%d\n", c.ifc_len);
    R(ioctl(fd, 0x1234, &r));
    R(ioctl(fd, 0x5401 /* TCGETS */, &r));
    R(ioctl(fd, SIOCGIFINDEX, (void *)8));
    R(if_nametoindex("lo"));
    printf("%s\n", if_indextoname(1, text));
    R(if_nametoindex("nonesuch"));
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "lo");
    r.ifr_mtu = 1500;
    R(ioctl(fd, SIOCSIFMTU, &r));
    r.ifr_mtu = 10;
    R(ioctl(fd, SIOCSIFMTU, &r));
    ASK("lo", SIOCGIFMTU);
    printf("%d\n", r.ifr_mtu);
    r.ifr_mtu = 65536;
    R(ioctl(fd, SIOCSIFMTU, &r));
}

/* The words of each line that do not change from run to run. */
static void words(const char *path, int lines, int columns)
{
    FILE *f = fopen(path, "r");
    char line[512];
    printf("%s %s\n", path, f ? "opens" : t_errno(errno));
    for (int n = 0; f && n < lines && fgets(line, sizeof line, f); n++) {
        int c = 0;
        for (char *w = strtok(line, " \t\n"); w && c < columns; w = strtok(0, " \t\n"), c++)
            printf(" %s", w);
        printf("\n");
    }
    if (f)
        fclose(f);
}

CASE(proc_headers)
{
    static const char *const files[] = {"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "udplite", "packet", "netlink",
                                        "route", "arp", "dev", "dev_mcast", "unix", "ptype"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/net/%s", files[i]);
        words(path, 1, 40);
    }
    words("/proc/net/if_inet6", 9, 9);
    words("/proc/net/ipv6_route", 9, 5);
    words("/proc/net/snmp", 1, 30);
    words("/proc/self/net/dev", 1, 30);
    words("/proc/thread-self/net/dev", 1, 30);
    words("/proc/net/nonesuch", 1, 1);
    words("/proc/sys/net/ipv4/ip_forward", 1, 1);
    words("/proc/sys/net/ipv4/ip_local_port_range", 1, 2);
    words("/proc/sys/net/ipv4/ip_default_ttl", 1, 2);
    words("/proc/sys/net/core/somaxconn", 1, 2);
    words("/proc/sys/net/ipv6/conf/all/disable_ipv6", 1, 2);
    words("/proc/sys/net/ipv4/nonesuch", 1, 2);
    words("/sys/class/net/lo/mtu", 1, 1);
    words("/sys/class/net/lo/address", 1, 1);
    words("/sys/class/net/lo/ifindex", 1, 1);
}

CASE(proc_sockets)
{
    int ls = t_listen(AF_INET, 5), ls6 = t_listen(AF_INET6, 5), u = t_bound(AF_INET, SOCK_DGRAM), p[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(send(p[0], "abc", 3, 0));
    t_settle();
    static const char *const files[] = {"tcp", "tcp6", "udp"};
    (void)ls, (void)ls6, (void)u;
    for (int i = 0; i < 3; i++) {
        char path[64], line[512];
        snprintf(path, sizeof path, "/proc/net/%s", files[i]);
        FILE *f = fopen(path, "r");
        printf("%s\n", path);
        int states[16] = {0}, queued = 0;
        while (f && fgets(line, sizeof line, f)) {
            unsigned st, tx, rx;
            char l[64], r[64];
            if (sscanf(line, " %*d: %63s %63s %x %x:%x", l, r, &st, &tx, &rx) != 5)
                continue;
            if (st < 16)
                states[st]++;
            queued += rx == 3 && !strncmp(l, "0100007F:", 9);
        }
        for (int s = 0; s < 16; s++)
            printf("%d ", states[s]);
        printf("queued %d\n", queued);
    }
}

CASE(getifaddrs_lo)
{
    struct ifaddrs *list, *i;
    R(getifaddrs(&list));
    for (i = list; i; i = i->ifa_next) {
        printf("%s flags %x mask %d\n", i->ifa_name, i->ifa_flags, i->ifa_netmask != 0);
        if (i->ifa_addr && i->ifa_addr->sa_family != AF_PACKET)
            t_addr("  address", i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? 16 : 28, 1);
        else
            printf("  packet\n");
    }
}

static void dump(int fd, unsigned short type, int family, unsigned flags)
{
    struct { struct nlmsghdr h; struct rtgenmsg g; char pad[60]; } q;
    char room[16384];
    memset(&q, 0, sizeof q);
    q.h = (struct nlmsghdr){NLMSG_LENGTH(type == RTM_GETLINK ? 16 : type == RTM_GETADDR ? 8 : 12), type, (unsigned short)(NLM_F_REQUEST | flags), 7, 0};
    q.g.rtgen_family = (unsigned char)family;
    if (RN("send", send(fd, &q, q.h.nlmsg_len, 0)) < 0)
        return;
    for (int done = 0; !done;) {
        long n = recv(fd, room, sizeof room, 0);
        if (n <= 0) {
            printf("recv %s\n", t_errno(errno));
            return;
        }
        for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            printf("type %d flags %x seq %u:", h->nlmsg_type, h->nlmsg_flags, h->nlmsg_seq);
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                int e = *(int *)NLMSG_DATA(h);
                printf(" %s\n", e ? t_errno(-e) : "0");
                done = 1;
                continue;
            }
            int fixed = type == RTM_GETLINK ? 16 : type == RTM_GETADDR ? 8 : 12;
            long left = (long)h->nlmsg_len - NLMSG_LENGTH(fixed);
            unsigned char *body = NLMSG_DATA(h);
            printf(" fixed");
            for (int i = 0; i < fixed; i++)
                printf(" %02x", body[i]);
            for (struct rtattr *a = (void *)(body + NLMSG_ALIGN(fixed)); RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (type != RTM_GETLINK || a->rta_type <= IFLA_MTU)
                    printf(" %d(%d)", a->rta_type, (int)RTA_PAYLOAD(a));
            printf("\n");
        }
    }
}

CASE(netlink_dumps)
{
    int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof a;
    R(bind(fd, (struct sockaddr *)&a, sizeof a));
    R(getsockname(fd, (struct sockaddr *)&a, &len));
    printf("own pid %d length %u\n", (int)a.nl_pid == getpid(), len);
    dump(fd, RTM_GETLINK, AF_UNSPEC, NLM_F_DUMP);
    dump(fd, RTM_GETADDR, AF_UNSPEC, NLM_F_DUMP);
    dump(fd, RTM_GETADDR, AF_INET, NLM_F_DUMP);
    dump(fd, RTM_GETROUTE, AF_INET, NLM_F_DUMP);
    dump(fd, RTM_GETRULE, AF_INET, NLM_F_DUMP);
    dump(fd, RTM_GETRULE, AF_INET6, NLM_F_DUMP);
    dump(fd, RTM_GETNEIGH, AF_UNSPEC, NLM_F_DUMP);
    dump(fd, 0x7777, AF_UNSPEC, 0);
    dump(fd, RTM_GETLINK, AF_UNSPEC, 0);
    R(socket(AF_NETLINK, SOCK_STREAM, 0));
    R(socket(AF_NETLINK, SOCK_DGRAM, 99));
}

CASE(resolver_numeric)
{
    struct addrinfo *list, hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    R(getaddrinfo("127.0.0.1", "80", &hints, &list));
    t_addr("v4", list->ai_addr, list->ai_addrlen, 1);
    R(getaddrinfo("::1", "80", &hints, &list));
    t_addr("v6", list->ai_addr, list->ai_addrlen, 1);
    hints.ai_flags = AI_PASSIVE;
    R(getaddrinfo(0, "80", &hints, &list));
    for (; list; list = list->ai_next)
        t_addr("any", list->ai_addr, list->ai_addrlen, 1);
}
