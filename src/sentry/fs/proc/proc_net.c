// /proc/PID/net: what netstat, ss and getaddrinfo look for.
//
// There is no network yet but the loopback's name: the tables have their heads and no rows. Unix sockets aren't listed.
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/proc/proc_int.h"

static const struct {
	const char *name, *text;
} tables[] = {
	{"arp", "IP address       HW type     Flags       HW address            Mask     Device\n"},
	{"dev", "Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
		"    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n"},
	{"if_inet6", ""},
	{"igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"},
	{"netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"},
	{"packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
	{"raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
	{"route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
		  "                                                       \n"},
	{"tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
		"                                                     \n"},
	{"tcp6", "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when "
		 "retrnsmt   uid  timeout inode\n"},
	{"udp", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"
		"            \n"},
	{"udp6", "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when "
		 "retrnsmt   uid  timeout inode ref pointer drops\n"},
	{"unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"},
};

static int show_table(struct proc_node *n, struct proc_text *x)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (strcmp(tables[i].name, n->entry->name) == 0)
			proc_bytes(x, tables[i].text, strlen(tables[i].text));
	return 0;
}

#define TABLE(n) {.name = n, .mode = S_IFREG | 0444, .show = show_table}

const struct proc_entry proc_net_entries[] = {TABLE("arp"),   TABLE("dev"),  TABLE("if_inet6"), TABLE("igmp"), TABLE("netlink"),
					      TABLE("packet"), TABLE("raw"), TABLE("route"),	TABLE("tcp"),  TABLE("tcp6"),
					      TABLE("udp"),    TABLE("udp6"), TABLE("unix"),	{0}};
