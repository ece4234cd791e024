/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files are read in pieces of 1 MiB, so that a timer can be looked at between them: reading a disk
 * image from a slow stick says every second how far it got.
 */
#include "boot/files.h"

#include <efilib.h>

#include "boot/console.h"
#include "boot/pages.h"
#include "boot/path.h"

#define PIECE (1u << 20)
#define PROGRESS_PERIOD 10000000u /* one second in units of 100 ns */

/* EFI_FILE_INFO of the longest name a FAT volume can hold, and some. */
union entry_buffer {
	EFI_FILE_INFO info;
	UINT8 bytes[sizeof(EFI_FILE_INFO) + 2 * 512];
};

/* Signalled once a second. Without a timer (NULL) there is no progress. */
static EFI_EVENT second;

static void start_timer(void)
{
	if (EFI_ERROR(uefi_call_wrapper(BS->CreateEvent, 5, EVT_TIMER, 0, NULL, NULL, &second))) {
		second = NULL;
		return;
	}
	uefi_call_wrapper(BS->SetTimer, 3, second, TimerPeriodic, PROGRESS_PERIOD);
}

static void stop_timer(void)
{
	if (second != NULL) {
		uefi_call_wrapper(BS->CloseEvent, 1, second);
	}
}

static void show_progress(const struct handoff_module *m, uint64_t done, uint64_t size)
{
	if (second != NULL && !EFI_ERROR(uefi_call_wrapper(BS->CheckEvent, 1, second))) {
		console_print(L"bulkhead: reading %a: %ld of %ld MiB\n", m->path, done >> 20,
			      (size + PIECE - 1) >> 20);
	}
}

/* Appends an empty entry; NULL when memory is used up. The list moves when it grows. */
static struct handoff_module *add_module(struct files *files)
{
	if (files->count == files->capacity) {
		size_t capacity = files->capacity == 0 ? 64 : 2 * files->capacity;
		struct handoff_module *larger =
			pages_take(capacity * sizeof(*larger), HANDOFF_MEM_LOADER);

		if (larger == NULL) {
			return NULL;
		}
		if (files->list != NULL) {
			CopyMem(larger, files->list, files->count * sizeof(*larger));
			pages_give_back(files->list);
		}
		files->list = larger;
		files->capacity = capacity;
	}
	ZeroMem(&files->list[files->count], sizeof(*files->list));
	return &files->list[files->count++];
}

static EFI_STATUS read_pieces(EFI_FILE *file, struct handoff_module *m, char *to, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		UINTN n = size - done < PIECE ? size - done : PIECE;
		EFI_STATUS status = uefi_call_wrapper(file->Read, 3, file, &n, to + done);

		if (EFI_ERROR(status)) {
			return status;
		}
		if (n == 0) {
			return EFI_END_OF_FILE;
		}
		done += n;
		show_progress(m, done, size);
	}
	return EFI_SUCCESS;
}

static void fail(struct handoff_module *m, enum handoff_file_error error, EFI_STATUS status)
{
	m->error = error;
	console_print(L"bulkhead: cannot read %a: %r\n", m->path, status);
}

static void read_content(EFI_FILE *file, struct handoff_module *m, uint64_t size)
{
	uint64_t room = (size + EFI_PAGE_SIZE - 1) & ~(uint64_t)(EFI_PAGE_SIZE - 1);
	EFI_STATUS status;
	char *to;

	if (size == 0) {
		return;
	}
	to = pages_take(size, HANDOFF_MEM_MODULE);
	if (to == NULL) {
		fail(m, HANDOFF_FILE_NO_MEMORY, EFI_OUT_OF_RESOURCES);
		return;
	}
	status = read_pieces(file, m, to, size);
	if (EFI_ERROR(status)) {
		pages_give_back(to);
		fail(m, HANDOFF_FILE_IO, status);
		return;
	}
	ZeroMem(to + size, room - size);
	m->base = (uint64_t)to;
	m->size = size;
}

static void read_folder(EFI_FILE *folder, const char *path, struct files *files);

/* Lists one entry of `folder`, and reads it; goes into a folder when `path` is the top. */
static bool take_entry(EFI_FILE *folder, const char *path, EFI_FILE_INFO *info, struct files *files)
{
	struct handoff_module *m;
	char own_path[HANDOFF_PATH_MAX];
	EFI_FILE *file;
	EFI_STATUS status;

	if (files->count == HANDOFF_MODULES_MAX) {
		console_print(L"bulkhead: more than %d files below \\bulkhead\\; not read: %a%s\n",
			      HANDOFF_MODULES_MAX, path, info->FileName);
		return false;
	}
	m = add_module(files);
	if (m == NULL) {
		console_print(L"bulkhead: no memory left to list files\n");
		return false;
	}
	m->is_directory = (info->Attribute & EFI_FILE_DIRECTORY) != 0;
	if (!path_join(m->path, path, (const uint16_t *)info->FileName)) {
		m->error = HANDOFF_FILE_NAME_LONG;
		console_print(L"bulkhead: cannot read %a...: name longer than %d bytes\n", m->path,
			      HANDOFF_PATH_MAX - 1);
		return true;
	}
	if (m->is_directory && path[0] != '\0') {
		return true;
	}
	status = uefi_call_wrapper(folder->Open, 5, folder, &file, info->FileName,
				   EFI_FILE_MODE_READ, 0);
	if (EFI_ERROR(status)) {
		fail(m, HANDOFF_FILE_IO, status);
		return true;
	}
	if (m->is_directory) {
		/* The list may move under `m`. */
		CopyMem(own_path, m->path, sizeof(own_path));
		read_folder(file, own_path, files);
	} else {
		read_content(file, m, info->FileSize);
		files->bytes += m->size;
	}
	uefi_call_wrapper(file->Close, 1, file);
	return true;
}

/* `path` is "" for \bulkhead\ itself. */
static void read_folder(EFI_FILE *folder, const char *path, struct files *files)
{
	union entry_buffer entry;

	for (;;) {
		UINTN size = sizeof(entry) - sizeof(CHAR16);
		EFI_STATUS status = uefi_call_wrapper(folder->Read, 3, folder, &size, &entry);

		if (EFI_ERROR(status)) {
			console_print(L"bulkhead: cannot list \\bulkhead\\%a: %r\n", path, status);
			return;
		}
		if (size == 0) {
			return;
		}
		ZeroMem(entry.bytes + size, sizeof(CHAR16));
		if (entry.info.FileName[0] != '.' &&
		    !take_entry(folder, path, &entry.info, files)) {
			return;
		}
	}
}

/* Opens \bulkhead\ of the volume that `image` came from; NULL when there is none. */
static EFI_FILE *open_top(EFI_HANDLE image)
{
	EFI_LOADED_IMAGE *loaded = NULL;
	EFI_FILE *root;
	EFI_FILE *top = NULL;
	EFI_STATUS status;

	uefi_call_wrapper(BS->HandleProtocol, 3, image, &LoadedImageProtocol, (VOID **)&loaded);
	if (loaded == NULL || loaded->DeviceHandle == NULL) {
		return NULL;
	}
	root = LibOpenRoot(loaded->DeviceHandle);
	if (root == NULL) {
		return NULL;
	}
	status = uefi_call_wrapper(root->Open, 5, root, &top, L"\\bulkhead", EFI_FILE_MODE_READ, 0);
	uefi_call_wrapper(root->Close, 1, root);
	if (EFI_ERROR(status)) {
		if (status != EFI_NOT_FOUND) {
			console_print(L"bulkhead: cannot open \\bulkhead: %r\n", status);
		}
		return NULL;
	}
	return top;
}

static bool is_folder(EFI_FILE *file)
{
	EFI_FILE_INFO *info = LibFileInfo(file);
	bool folder = info != NULL && (info->Attribute & EFI_FILE_DIRECTORY) != 0;

	FreePool(info);
	return folder;
}

void files_read(EFI_HANDLE image, struct files *files)
{
	EFI_FILE *top = open_top(image);

	if (top == NULL) {
		return;
	}
	if (is_folder(top)) {
		start_timer();
		read_folder(top, "", files);
		stop_timer();
	} else {
		console_print(L"bulkhead: \\bulkhead is not a folder\n");
	}
	uefi_call_wrapper(top->Close, 1, top);
}
