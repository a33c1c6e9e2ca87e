/* SPDX-License-Identifier: MIT */

/*
 * The guest's host is QEMU: its devices are found on PCI, and what the host
 * wants and sees is asked for on the console, of who holds QEMU's monitor.
 *
 * Frames of the machine count from 0; devices know them by their addresses,
 * which are those plus one constant. Device number N, in the order in which
 * the scenario declares them, is in slot SLOT_FIRST + N.
 */

#include <guest.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "guest/kernel.h"
#include "guest/pci.h"
#include "machine/host.h"
#include "machine/internal.h"

#define SLOT_FIRST	0x10
#define FUNCTIONS_MAX	32
#define NUMBERS_MAX	8
#define LINE_BYTES	256
#define VIRTIO_VENDOR	0x1af4
#define SHARED_BYTES	(64 * CF_FRAME_BYTES)

struct host_device {
	struct host_config config;
	unsigned number;		/* as the host counts */
	struct pci_function *function;
	struct cf_pci_access access;
	struct cf_virtio_pci pci;
	void *shared;
	volatile bool gone;		/* its interrupts are nobody's */
};

static struct pci_function functions[FUNCTIONS_MAX];
static unsigned devices;
static uint64_t place;			/* the address of frame 0 */

int ask_host(const char *words, uint64_t *ret_numbers, unsigned count)
{
	char line[LINE_BYTES], *at = line;
	long err;
	unsigned i;

	(void)printf("{\"ask\":\"%s\"}\n", words);
	guest_line(line, sizeof(line));
	err = (long)strtoull(at, &at, 10);
	for (i = 0; i < count; i++)
		ret_numbers[i] = strtoull(at, &at, 10);
	return -(int)err;
}

/* "WHAT NUMBER VALUE" */
static int ask(const char *what, unsigned number, uint64_t value)
{
	char words[64];

	(void)snprintf(words, sizeof(words), "%s %u %llu", what, number,
		       (unsigned long long)value);
	return ask_host(words, NULL, 0);
}

static uint64_t resident(void)
{
	uint64_t bytes;

	return ask_host("resident", &bytes, 1) ? 0 : bytes;
}

bool host_place(struct machine *machine)
{
	uintptr_t first = (uintptr_t)machine->memory.base;
	char text[64], *at = text;
	uint64_t bytes;

	if (!guest_option("frames", text, sizeof(text)))
		return true;
	place = strtoull(at, &at, 0);
	bytes = *at == ':' ? strtoull(at + 1, NULL, 0) : 0;
	page_reserve(place);
	guest_set_resident(resident);
	return space_back(first, first + bytes, place);
}

static cf_pfn device_frame(void *context, cf_pfn pfn)
{
	(void)context;
	return pfn + place / CF_FRAME_BYTES;
}

static struct pci_function *find(unsigned number)
{
	unsigned count = pci_scan(functions, FUNCTIONS_MAX), i;

	for (i = 0; i < count && i < FUNCTIONS_MAX; i++)
		if (functions[i].vendor == VIRTIO_VENDOR &&
		    !functions[i].bus &&
		    functions[i].slot == SLOT_FIRST + number)
			return &functions[i];
	return NULL;
}

/* Whoever hears it: the line is let go, or it would never be silent. */
static void hear(void *context)
{
	struct host_device *device = context;
	uint8_t isr;

	if (device->gone)
		return;
	isr = cf_virtio_pci_ops.isr(&device->pci);
	if (isr)
		device->config.interrupt(device->config.context, isr);
}

/* The first of them lets the lines through. */
static bool listen(struct host_device *device)
{
	if (devices == 0)
		arch_intx_init();
	return interrupt_attach(arch_intx_vector(), hear, device);
}

int host_device_add(struct machine *machine, const struct host_config *config,
		    struct host_device **ret_device)
{
	struct host_device *device;

	(void)machine;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -CF_ENOMEM;
	device->config = *config;
	device->number = devices;
	device->function = find(devices);
	device->shared = (void *)page_take_top(SHARED_BYTES, CF_FRAME_BYTES);
	device->gone = true;
	if (!device->function || !device->shared || !listen(device)) {
		free(device);
		return -CF_EPORT;
	}
	devices++;
	*ret_device = device;
	return 0;
}

/* Handlers stay, and so does what they are given. */
void host_device_remove(struct host_device *device)
{
	if (device)
		device->gone = true;
}

int host_device_link(struct host_device *device, struct host_link *ret_link)
{
	device->access = pci_access(device->function);
	if (cf_virtio_pci_probe(&device->pci, &device->access))
		return -CF_EREFUSED;
	/*
	 * QEMU takes hints in a thread of its own, from which its emulated
	 * processors cannot be interrupted: it ends. So that one is polled.
	 */
	cf_virtio_pci_intx(&device->pci, !device->config.hinting);
	(void)memset(device->shared, 0, SHARED_BYTES);
	device->gone = false;
	*ret_link = (struct host_link){
		.ops = &cf_virtio_pci_ops,
		.transport = &device->pci,
		.shared = {
			device->shared, (uintptr_t)device->shared,
			SHARED_BYTES,
		},
		.placed = true,
		.device_frame = device_frame,
	};
	return 0;
}

int host_request(struct host_device *device, uint64_t bytes)
{
	return ask("request", device->number, bytes);
}

int host_balloon(struct host_device *device, uint64_t bytes)
{
	return ask("balloon", device->number, bytes);
}

int host_stats(struct host_device *device)
{
	return ask("stats", device->number, 0);
}

int host_hint(struct host_device *device, enum host_hint hint)
{
	return ask("hint", device->number, hint == HOST_HINT_START);
}

int host_migrating(struct machine *machine, bool on)
{
	(void)machine;
	return ask("migrating", 0, on);
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

/* QEMU's threads wait for a processor of the host, as others do. */
uint64_t host_patience_ns(void)
{
	return 30000000000;
}

int host_view(struct host_device *device, struct host_view *ret_view)
{
	uint64_t numbers[NUMBERS_MAX];
	char words[32];
	int err;

	(void)snprintf(words, sizeof(words), "view %u", device->number);
	err = ask_host(words, numbers, 7);
	if (!err)
		*ret_view = (struct host_view){
			.plugged = numbers[0],
			.ballooned = numbers[1],
			.resident = numbers[2],
			.free = numbers[3],
			.total = numbers[4],
			.available = numbers[5],
			.violations = numbers[6],
		};
	return err;
}
