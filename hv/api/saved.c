/* SPDX-License-Identifier: Apache-2.0 */
/* All device models of a VM into one buffer, and back: everything is judged before anything
 * changes. */
#include "hv/api/saved.h"

#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"

#define RECORD_ALIGN 8u

/* Where a message goes. */
struct complaint {
	char *text;
	size_t cap;
};

void saved_set_init(struct saved_set *set)
{
	list_init(&set->devices);
}

void saved_device_init(struct saved_device *d, const struct saved_ops *ops, void *dev)
{
	*d = (struct saved_device){.ops = ops, .dev = dev};
	list_init(&d->node);
}

void saved_add(struct saved_set *set, struct saved_device *d, uint32_t instance)
{
	d->instance = instance;
	if (set != NULL) {
		list_append(&set->devices, &d->node);
	}
}

static struct saved_device *device_of(struct list_node *node)
{
	return list_entry(node, struct saved_device, node);
}

/* Of a record with its head and padding. */
static uint64_t record_size(uint32_t bytes)
{
	return sizeof(struct saved_record) + align_up(bytes, RECORD_ALIGN);
}

bool saved_quiet(const struct saved_set *set, const struct saved_device **busy)
{
	list_for_each (it, &set->devices) {
		const struct saved_device *d = device_of(it);

		if (d->ops->quiet != NULL && !d->ops->quiet(d->dev)) {
			if (busy != NULL) {
				*busy = d;
			}
			return false;
		}
	}
	return true;
}

size_t saved_size(const struct saved_set *set)
{
	size_t bytes = sizeof(struct saved_head);

	list_for_each (it, &set->devices) {
		bytes += record_size(device_of(it)->ops->bytes);
	}
	return bytes;
}

void saved_save(const struct saved_set *set, void *out)
{
	struct saved_head *head = out;
	uint8_t *at = (uint8_t *)out + sizeof(*head);

	memset(out, 0, saved_size(set));
	*head = (struct saved_head){
		.magic = SAVED_MAGIC, .format = SAVED_FORMAT, .bytes = saved_size(set)};
	list_for_each (it, &set->devices) {
		const struct saved_device *d = device_of(it);

		*(struct saved_record *)(void *)at = (struct saved_record){
			d->ops->kind, d->instance, d->ops->version, d->ops->bytes};
		d->ops->save(d->dev, at + sizeof(struct saved_record));
		at += record_size(d->ops->bytes);
		head->records++;
	}
}

/* --- judging --- */

static bool check_head(const struct saved_head *head, size_t n, const struct complaint *c)
{
	if (n < sizeof(*head) || head->magic != SAVED_MAGIC) {
		fmt_snprintf(c->text, c->cap, "this is no state of devices");
		return false;
	}
	if (head->format != SAVED_FORMAT || head->zero != 0) {
		fmt_snprintf(c->text, c->cap, "the format is %u, this build knows %u", head->format,
			     SAVED_FORMAT);
		return false;
	}
	if (head->bytes != n) {
		fmt_snprintf(c->text, c->cap, "it has %zu bytes and says that it has %llu", n,
			     (unsigned long long)head->bytes);
		return false;
	}
	return true;
}

const struct saved_record *saved_next_record(const void *in, size_t n, size_t *offset)
{
	const struct saved_record *r = (const void *)((const uint8_t *)in + *offset);

	if (n - *offset < sizeof(*r) || record_size(r->bytes) > n - *offset) {
		return NULL;
	}
	*offset += (size_t)record_size(r->bytes);
	return r;
}

static struct saved_device *find_device(const struct saved_set *set, const struct saved_record *r)
{
	list_for_each (it, &set->devices) {
		struct saved_device *d = device_of(it);

		if (d->ops->kind == r->kind && d->instance == r->instance) {
			return d;
		}
	}
	return NULL;
}

/* A letter of a kind as it can be printed. */
static char letter(uint32_t kind, unsigned i)
{
	uint32_t c = kind >> (i * 8) & 0xff;

	return (char)(c >= ' ' && c <= '~' ? c : '.');
}

static bool check_record(const struct saved_set *set, const struct saved_record *r,
			 const struct complaint *c)
{
	const struct saved_device *d = find_device(set, r);
	const char *wrong;

	if (d == NULL) {
		fmt_snprintf(c->text, c->cap,
			     "the guest has no device of kind '%c%c%c%c' number %u",
			     letter(r->kind, 0), letter(r->kind, 1), letter(r->kind, 2),
			     letter(r->kind, 3), r->instance);
		return false;
	}
	if (r->version != d->ops->version || r->bytes != d->ops->bytes) {
		fmt_snprintf(c->text, c->cap,
			     "%s %u: version %u of %u bytes, this build loads version %u of %u",
			     d->ops->name, d->instance, r->version, r->bytes, d->ops->version,
			     d->ops->bytes);
		return false;
	}
	if (!saved_is_zero((const uint8_t *)(r + 1) + r->bytes,
			   record_size(r->bytes) - sizeof(*r) - r->bytes)) {
		fmt_snprintf(c->text, c->cap, "%s %u: the padding is not 0", d->ops->name,
			     d->instance);
		return false;
	}
	wrong = d->ops->check(d->dev, r + 1);
	if (wrong != NULL) {
		fmt_snprintf(c->text, c->cap, "%s %u: %s", d->ops->name, d->instance, wrong);
		return false;
	}
	return true;
}

/* The records are well formed, and each is of a device; whether each device has one is not said. */
static bool check_records(const struct saved_set *set, const void *in, size_t n,
			  const struct complaint *c)
{
	const struct saved_head *head = in;
	size_t offset = sizeof(*head);
	uint32_t count = 0;

	while (offset < n) {
		const struct saved_record *r = saved_next_record(in, n, &offset);

		if (r == NULL) {
			fmt_snprintf(c->text, c->cap, "record %u does not end within the state",
				     count);
			return false;
		}
		if (!check_record(set, r, c)) {
			return false;
		}
		count++;
	}
	if (count != head->records) {
		fmt_snprintf(c->text, c->cap, "there are %u records, not %u as it says", count,
			     head->records);
		return false;
	}
	return true;
}

/* How many records are the device's; *found is the last. After check_records. */
static unsigned find_records(const struct saved_device *d, const void *in, size_t n,
			     const struct saved_record **found)
{
	size_t offset = sizeof(struct saved_head);
	unsigned count = 0;

	while (offset < n) {
		const struct saved_record *r = saved_next_record(in, n, &offset);

		if (r->kind == d->ops->kind && r->instance == d->instance) {
			*found = r;
			count++;
		}
	}
	return count;
}

static bool check_devices(const struct saved_set *set, const void *in, size_t n,
			  const struct complaint *c)
{
	list_for_each (it, &set->devices) {
		const struct saved_device *d = device_of(it);
		const struct saved_record *r;
		unsigned count = find_records(d, in, n, &r);

		if (count != 1) {
			fmt_snprintf(c->text, c->cap, "%s %u: %u records, and one is needed",
				     d->ops->name, d->instance, count);
			return false;
		}
	}
	return true;
}

bool saved_check(const struct saved_set *set, const void *in, size_t n, char *error, size_t cap)
{
	const struct complaint c = {error, cap};

	return check_head(in, n, &c) && check_records(set, in, n, &c) &&
	       check_devices(set, in, n, &c);
}

bool saved_load(const struct saved_set *set, const void *in, size_t n, char *error, size_t cap)
{
	if (!saved_check(set, in, n, error, cap)) {
		return false;
	}
	list_for_each (it, &set->devices) {
		const struct saved_device *d = device_of(it);
		const struct saved_record *r = NULL;

		(void)find_records(d, in, n, &r);
		d->ops->load(d->dev, r + 1);
	}
	return true;
}

void saved_reset(const struct saved_set *set)
{
	for (struct list_node *it = set->devices.prev; it != &set->devices; it = it->prev) {
		device_of(it)->ops->reset(device_of(it)->dev);
	}
}

bool saved_is_zero(const void *p, size_t n)
{
	const uint8_t *bytes = p;
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++) {
		any |= bytes[i];
	}
	return any == 0;
}
