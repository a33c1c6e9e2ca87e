/* SPDX-License-Identifier: MIT */

/* A host nobody plays: it has no devices. */

#include "machine/host.h"

int host_device_add(struct machine *machine, const struct host_config *config,
		    struct host_device **ret_device)
{
	(void)machine;
	(void)config;
	(void)ret_device;
	return -CF_EPORT;
}

void host_device_remove(struct host_device *device)
{
	(void)device;
}

int host_device_link(struct host_device *device, struct host_link *ret_link)
{
	(void)device;
	(void)ret_link;
	return -CF_EREFUSED;
}

int host_request(struct host_device *device, uint64_t bytes)
{
	(void)device;
	(void)bytes;
	return -CF_EPORT;
}

int host_balloon(struct host_device *device, uint64_t bytes)
{
	(void)device;
	(void)bytes;
	return -CF_EPORT;
}

int host_stats(struct host_device *device)
{
	(void)device;
	return -CF_EPORT;
}

int host_hint(struct host_device *device, enum host_hint hint)
{
	(void)device;
	(void)hint;
	return -CF_EPORT;
}

int host_migrating(struct machine *machine, bool on)
{
	(void)machine;
	(void)on;
	return -CF_EPORT;
}

int host_conduct(struct host_device *device, enum host_conduct conduct,
		 bool on)
{
	(void)device;
	(void)conduct;
	(void)on;
	return -CF_EREFUSED;
}

int host_lie(struct host_device *device, uint64_t lie, uint64_t after)
{
	(void)device;
	(void)lie;
	(void)after;
	return -CF_EREFUSED;
}

int host_view(struct host_device *device, struct host_view *ret_view)
{
	(void)device;
	(void)ret_view;
	return -CF_EPORT;
}
