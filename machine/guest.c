/* SPDX-License-Identifier: MIT */

/*
 * Guests: owners/guestmem, a step a call.  The firmware is the protection of
 * the machine's own memory: a private page that anybody touches is a crash.
 */

#include <stdlib.h>
#include <sys/mman.h>

#include "pools.h"

#define GUEST_HOLDS	1024
#define PAGES_MAX	((uint64_t)1 << 20)

static int protect(struct machine *machine, cf_pfn pfn, unsigned order,
		   int how)
{
	return mprotect(frame_address(machine, pfn), CF_FRAME_BYTES << order,
			how);
}

static int make_private(void *context, cf_pfn pfn, unsigned order)
{
	return protect(context, pfn, order, PROT_NONE);
}

static int make_shared(void *context, cf_pfn pfn, unsigned order)
{
	return protect(context, pfn, order, PROT_READ | PROT_WRITE);
}

/* By ways of its own; here, with the doors open for a moment. */
static int move(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct machine *machine = context;

	if (make_shared(machine, source, order) ||
	    cf_copy_run(machine->map, source, target, order))
		return -1;
	return make_private(machine, target, order);
}

static const struct guestmem_firmware fixed = {
	.make_private = make_private, .make_shared = make_shared,
};
static const struct guestmem_firmware moving = {
	.make_private = make_private, .make_shared = make_shared,
	.move = move,
};

void guest_free(struct guest *guest)
{
	free(guest->memory);
	free(guest);
}

void guest_values(struct guest *guest, uint64_t *ret_of)
{
	struct guestmem_stat stat;
	cf_pfn pfn;

	guestmem_stat(guest->memory, &stat);
	ret_of[PROPERTY_TOTAL] = guest->pages << guest->order;
	ret_of[PROPERTY_SHARED] = stat.pages[GUESTMEM_SHARED] << guest->order;
	ret_of[PROPERTY_CONVERTING] = stat.pages[GUESTMEM_CONVERTING] <<
				      guest->order;
	ret_of[PROPERTY_PRIVATE] = stat.pages[GUESTMEM_PRIVATE] <<
				   guest->order;
	ret_of[PROPERTY_HOLDERS] = guestmem_holders(guest->memory, 0,
						    guest->pages, NULL, 0);
	ret_of[PROPERTY_MOVED] = stat.moved + stat.moved_private;
	ret_of[PROPERTY_INTACT] = guestmem_verify(guest->memory, &pfn);
}

static struct guest *find(struct machine *machine, const struct step *step,
			  struct outcome *outcome)
{
	struct guest *guest = machine->object[step->name].any;

	if (!guest)
		(void)refuse(outcome, CF_EGONE, "%s has ended",
			     machine->name[step->name]);
	return guest;
}

static int say(struct outcome *outcome, int err)
{
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	return 0;
}

bool guest_fits(const struct guest *guest)
{
	return guest->pages && guest->pages <= PAGES_MAX &&
	       guest->order <= CF_CHUNK_ORDER;
}

int guest_start(struct machine *machine, uint32_t number, struct guest *guest)
{
	const struct guestmem_config config = {
		.name = machine->name[number],
		.pages = guest->pages,
		.order = guest->order,
		.holds = GUEST_HOLDS,
		.zone = guest->zone,
		.firmware = guest->movable ? &moving : &fixed,
		.context = machine,
	};
	size_t bytes = guestmem_bytes(machine->map, &config);
	void *storage = bytes ? calloc(1, bytes) : NULL;
	int err;

	if (!storage)
		return bytes ? -CF_ENOMEM : -CF_EINVAL;
	err = guestmem_create(machine->map, &config, storage, &guest->memory);
	if (err)
		free(storage);
	return err;
}

/* A guest of some memory, all of it shared. */
static int make(struct machine *machine, uint32_t number, struct guest *guest)
{
	int err = guest_start(machine, number, guest);

	if (err)
		return err;
	err = guestmem_populate(guest->memory, 0, guest->pages);
	if (err && !guestmem_destroy(guest->memory, NULL))
		free(guest->memory);
	return err;
}

int step_guest(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	unsigned order = (unsigned)step_value(step, KEY_ORDER, 0);
	uint64_t pages = step->amount.number / CF_FRAME_BYTES >> order;
	struct guest *guest;
	int err;

	if (!pages || pages > PAGES_MAX || step->amount.number %
	    (CF_FRAME_BYTES << order))
		return refuse(outcome, CF_EINVAL, "not a whole number of pages,"
			      " 1 to %llu", (unsigned long long)PAGES_MAX);
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return say(outcome, -CF_ENOMEM);
	guest->pages = pages;
	guest->order = order;
	guest->zone = (enum cf_zone_kind)step_value(step, KEY_ZONE,
						    CF_ZONE_NORMAL);
	guest->movable = step_has(step, KEY_MOVABLE);
	err = make(machine, step->name, guest);
	if (err) {
		free(guest);
		return say(outcome, err);
	}
	machine->object[step->name].any = guest;
	did(outcome, "%llu pages, owner %u", (unsigned long long)pages,
	    guestmem_owner(guest->memory));
	return 0;
}

/* Who holds it: the name of the owner the step names. */
static const char *holder(struct machine *machine, const struct step *step)
{
	return name_of_owner(machine, owner_id(machine, step->key[KEY_OWNER]));
}

int step_guest_hold(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	cf_pfn pfn;

	if (!guest)
		return outcome->err;
	return say(outcome, guestmem_get(guest->memory, step->amount.number,
					 holder(machine, step), &pfn));
}

int step_guest_release(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);

	if (!guest)
		return outcome->err;
	return say(outcome, guestmem_put(guest->memory, step->amount.number,
					 holder(machine, step)));
}

int step_guest_convert(struct machine *machine, const struct step *step,
		       struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	uint64_t first = step->amount.number;

	if (!guest)
		return outcome->err;
	return say(outcome, guestmem_convert_start(guest->memory,
						   &guest->conversion, first,
						   first + step_value(step,
							   KEY_TIMES, 1)));
}

/* What a step waits for, and for whom. */
static void say_who(struct guest *guest, struct outcome *outcome)
{
	const struct guestmem_conversion *conversion = &guest->conversion;
	struct guestmem_holder first;

	if (!guestmem_holders(guest->memory, conversion->first,
			      conversion->last, &first, 1))
		return;
	did(outcome, "%llu pages wait; page %llu is held by %s",
	    (unsigned long long)conversion->waiting,
	    (unsigned long long)first.page,
	    first.who ? first.who : "somebody without a name");
}

int step_guest_step(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	int err;

	if (!guest)
		return outcome->err;
	if (!guest->conversion.going)
		return refuse(outcome, CF_EINVAL, "no conversion is going");
	err = guestmem_convert_step(&guest->conversion, &outcome->report);
	outcome->done = guest->conversion.done << guest->order;
	if (!err)
		return 0;
	say_who(guest, outcome);
	outcome->reported = true;
	outcome->err = err;
	return err;
}

int step_guest_cancel(struct machine *machine, const struct step *step,
		      struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);

	if (!guest)
		return outcome->err;
	if (!guest->conversion.going)
		return refuse(outcome, CF_EINVAL, "no conversion is going");
	return say(outcome, guestmem_convert_cancel(&guest->conversion));
}

int step_guest_share(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	uint64_t first = step->amount.number, done = 0;
	int err;

	if (!guest)
		return outcome->err;
	err = guestmem_share(guest->memory, first,
			     first + step_value(step, KEY_TIMES, 1), &done);
	outcome->done = done << guest->order;
	return say(outcome, err);
}

/* As a host would that does not care what the page is. */
int step_guest_touch(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	enum guestmem_state state;
	cf_pfn pfn;

	if (!guest)
		return outcome->err;
	state = guestmem_look(guest->memory, step->amount.number, &pfn);
	if (state == GUESTMEM_ABSENT)
		return say(outcome, -CF_EGONE);
	if (state == GUESTMEM_PRIVATE && !machine->raw)
		return refuse(outcome, CF_EREFUSED, "page %llu is private",
			      (unsigned long long)step->amount.number);
	(void)*(volatile unsigned char *)frame_address(machine, pfn);
	return 0;
}

int step_guest_end(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct guest *guest = find(machine, step, outcome);
	int err;

	if (!guest)
		return outcome->err;
	err = guestmem_destroy(guest->memory, &outcome->report);
	if (err) {
		outcome->reported = err == -CF_EBUSY;
		outcome->err = err;
		return err;
	}
	guest_free(guest);
	machine->object[step->name].any = NULL;
	return 0;
}
