/* SPDX-License-Identifier: MIT
 *
 * fused.h: the fused engine's own interface.
 *
 * A fused store is one immutable file, usually named *.fsdb: each object once,
 * any number of keys to each, keys in order. It is written whole, replaced
 * whole, and read by any number of threads and processes without a lock and
 * without a copy. Files are those of FuseDB, format version 2, both ways: what
 * is written here is read there, and with AKV_FUSED_PLAIN equals byte for byte
 * what the original writes for the same calls.
 *
 * Through the shared interface (anykv.h) it is a read-only ordered store, and
 * one to build: opened with AKV_OPEN_CREATE where nothing is, or with
 * AKV_OPEN_TRUNCATE, it takes puts and deletes until akv_finish makes the file, then
 * answers reads on the same handle. The calls below do the same without a
 * handle, and what only this engine can: many keys to one object, a cursor
 * without an allocation, the distinct objects, the file's own figures.
 *
 *     akv_fused_writer *w;
 *     akv_fused        *f;
 *     akv_slice         object;
 *     uint32_t          id;
 *
 *     akv_fused_writer_new(NULL, &w);
 *     akv_fused_add_object(w, akv_str("Luna"), &id);
 *     akv_fused_add_key(w, akv_str("moon"), id);
 *     akv_fused_add_key(w, akv_str("mond"), id);
 *     akv_fused_build(w, "names.fsdb", NULL);
 *     akv_fused_writer_free(w);
 *
 *     akv_fused_open("names.fsdb", NULL, &f);
 *     if (akv_fused_get(f, akv_str("mond"), &object) == AKV_OK)
 *         fwrite(object.data, 1, object.len, stdout);
 *     akv_fused_close(f);
 *
 * Limits: keys of 0 to 65,535 bytes, objects of 0 to 4 GiB - 1, 2^32 - 1 of
 * each. Order is memcmp. Statuses and the error record are those of anykv.h.
 */
#ifndef ANYKV_FUSED_H
#define ANYKV_FUSED_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKV_FUSED_MAX_KEY    UINT64_C(65535)
#define AKV_FUSED_MAX_OBJECT UINT64_C(4294967295)

#define AKV_FUSED_DEFAULT_BUFFER (UINT64_C(256) << 20)
#define AKV_FUSED_LEAST_BUFFER   (UINT64_C(1) << 20)

/* ----------------------------------------------------------------- options */

typedef enum akv_fused_mode {
    /* The file's pages as they are in the system's cache: nothing is read until
     * it is asked for, and processes share them. A file that is cut short in
     * place while it is mapped raises SIGBUS; replacing it by a rename, as
     * every build does, is safe. */
    AKV_FUSED_MAP = 0,
    /* A private copy in memory, that nothing done to the file can reach. */
    AKV_FUSED_READ = 1
} akv_fused_mode;

/* When opening checks the file's CRC-32, which reads all of it. false and true
 * work as well. */
typedef enum akv_fused_check {
    AKV_FUSED_CHECK_NEVER  = 0,
    AKV_FUSED_CHECK_ALWAYS = 1,
    /* Unless the file has a hash section: opening then takes the same few
     * microseconds whatever the file's size, and akv_fused_verify is there for
     * the rest. A reload, which has a good file to lose, checks all the same. */
    AKV_FUSED_CHECK_AUTO = 2
} akv_fused_check;

/* NULL means AKV_FUSED_OPTIONS_INIT; zero fields mean zero. */
typedef struct akv_fused_options {
    akv_engine_options head;
    uint32_t           verify_on_open; /* akv_fused_check; default auto */
    bool               check_objects;  /* check an object's CRC-32 at each read; default off */
    bool               dedupe; /* building by akv_put: equal values become one object; default on */
    bool               hash_section; /* building by akv_put: add a hash section; default on */
    uint8_t            reserved;
    uint32_t           mode; /* akv_fused_mode */
    uint32_t           reserved_2;
    /* For akv_fused_open and its like; a store opened by akv_open uses its own. NULL:
     * malloc, POSIX files. */
    const akv_allocator *allocator;
    akv_env             *env;
    /* Building by akv_put: as in akv_fused_writer_options, but with NULL what is
     * spilled lies beside the store. */
    uint64_t    build_buffer;
    const char *temp_dir;
} akv_fused_options;
#define AKV_FUSED_OPTIONS_INIT                                                            \
    {                                                                                     \
        {sizeof(akv_fused_options), "fused"}, AKV_FUSED_CHECK_AUTO, false, true, true, 0, \
            AKV_FUSED_MAP, 0, NULL, NULL, AKV_FUSED_DEFAULT_BUFFER, NULL                  \
    }

/* ----------------------------------------------------------------- reading
 *
 * A reader is for any number of threads at once; nothing it does takes a lock.
 * All bytes it hands out are borrowed until akv_fused_close. */

typedef struct akv_fused akv_fused;

/* Open a file. With a hash section its header and the section's descriptor are
 * checked, and nothing is allocated by the number of keys; places and offsets
 * are checked when they are followed, so damage can hide keys, but do no harm.
 * Without one, or when the descriptor is damaged, the header, the file's CRC
 * and the whole index are checked, and a table is made in memory. A file whose
 * CRC is checked and wrong opens all the same when only its section is damaged;
 * akv_fused_info tells. A header that is not the one the section was made with
 * is AKV_CORRUPT where the CRC is checked: it might hide keys. What the original
 * accepts is accepted otherwise, such as bytes after the index, a wrong
 * object count, keys out of order or twice: then the last of equal keys
 * counts, and scans are in order all the same.
 * AKV_CORRUPT and AKV_VERSION name the place in the file. */
AKV_API akv_status akv_fused_open(const char *path, const akv_fused_options *opt,
                                  akv_fused **fused_out);
/* The same of a file's bytes in memory, at any address; they are borrowed, and
 * must not change, until akv_fused_close. opt->mode says nothing here. The path
 * that errors and akv_fused_info name is "(buffer)". */
AKV_API akv_status akv_fused_open_buffer(const void *data, size_t len, const akv_fused_options *opt,
                                         akv_fused **fused_out);
/* The same of a file that is open for reading, from its first byte. `fd` stays
 * the caller's, who may close it right after: the reader has a duplicate, and
 * leaves the place where the caller reads alone. It must be one that can be read
 * at any place, so no pipe: AKV_IO; an opt->env but akv_env_posix() is
 * AKV_MISUSE. The path is "(descriptor N)". */
AKV_API akv_status akv_fused_open_fd(int fd, const akv_fused_options *opt, akv_fused **fused_out);
AKV_API void       akv_fused_close(akv_fused *fused); /* takes NULL */

/* The reader inside a handle that akv_open made, borrowed until akv_close.
 * NULL when it is another engine's, or a build not yet finished. */
AKV_API const akv_fused *akv_fused_of(akv *db);

/* AKV_OK, AKV_ABSENT, or AKV_CORRUPT when the key's object is not in the file. */
AKV_API akv_status akv_fused_get(const akv_fused *fused, akv_slice key, akv_slice *object_out);
/* AKV_OK or AKV_ABSENT; looks at no object. */
AKV_API akv_status akv_fused_exists(const akv_fused *fused, akv_slice key);
/* What akv_fused_get answers for each of n keys, several times as fast: the
 * memory accesses of many keys overlap. AKV_OK when each is AKV_OK or
 * AKV_ABSENT, else the first failure. */
AKV_API akv_status akv_fused_get_many(const akv_fused *fused, size_t n, const akv_slice *keys,
                                      akv_slice *objects_out, akv_status *statuses_out);
AKV_API uint64_t   akv_fused_count(const akv_fused *fused); /* of different keys */

/* A place among the keys of a range, in order. A plain value: make it on the
 * stack, copy it, forget it. It belongs to one thread at a time. Only `key` and
 * `object` are for use outside; they are empty when it is on no entry.
 *
 *     akv_fused_cursor c;
 *
 *     akv_fused_cursor_prefix(f, akv_str("8.8."), &c);
 *     while (akv_fused_cursor_next(&c) == AKV_OK)
 *         use(c.key, c.object);
 */
typedef struct akv_fused_cursor {
    akv_slice        key, object;
    bool             keys_only; /* may be set: objects stay empty and are not looked at */
    uint8_t          reserved[7];
    const akv_fused *fused;
    uint64_t         first, n; /* the range: its first key's number, and how many */
    uint64_t         at;       /* 0 before the first, n + 1 past the last */
    uint64_t         block;    /* whose entries are below */
    uint64_t         entries[16];
} akv_fused_cursor;

/* Make a cursor over all keys; over lower <= key, and key < *upper unless that
 * is NULL; over the keys that begin with `prefix`. It starts before the first. */
AKV_API akv_status akv_fused_cursor_all(const akv_fused *fused, akv_fused_cursor *cursor_out);
AKV_API akv_status akv_fused_cursor_range(const akv_fused *fused, akv_slice lower,
                                          const akv_slice *upper, akv_fused_cursor *cursor_out);
AKV_API akv_status akv_fused_cursor_prefix(const akv_fused *fused, akv_slice prefix,
                                           akv_fused_cursor *cursor_out);
/* How many keys the range has; costs nothing. */
AKV_API uint64_t akv_fused_cursor_count(const akv_fused_cursor *cursor);
/* Moves answer AKV_OK (on an entry), AKV_END (off that end; the move back lands
 * on the last entry there) or AKV_CORRUPT: the entry's object is not in the
 * file; the cursor is on it, with its key, and can move on. */
AKV_API akv_status akv_fused_cursor_first(akv_fused_cursor *cursor);
AKV_API akv_status akv_fused_cursor_last(akv_fused_cursor *cursor);
AKV_API akv_status akv_fused_cursor_next(akv_fused_cursor *cursor);
AKV_API akv_status akv_fused_cursor_prev(akv_fused_cursor *cursor);
/* To the least key >= `key`; to the greatest <= `key`; within the range. */
AKV_API akv_status akv_fused_cursor_seek(akv_fused_cursor *cursor, akv_slice key);
AKV_API akv_status akv_fused_cursor_seek_for_prev(akv_fused_cursor *cursor, akv_slice key);

/* Call back with each object that a key leads to, once, in the order in which
 * the sorted keys first lead there; `offset` tells objects apart. A non-zero
 * answer stops it. */
AKV_API akv_status akv_fused_objects(const akv_fused *fused,
                                     int (*each)(void *user, akv_slice object, uint64_t offset),
                                     void *user);

typedef enum akv_fused_section {
    AKV_FUSED_SECTION_NONE    = 0,
    AKV_FUSED_SECTION_USED    = 1,
    AKV_FUSED_SECTION_DAMAGED = 2 /* there, but damaged: the index is used instead */
} akv_fused_section;

/* The file's figures. The first eight are the original's stats. */
typedef struct akv_fused_info {
    size_t      size; /* sizeof(akv_fused_info), set by the caller */
    const char *path; /* as given */
    uint32_t    version;
    uint32_t    num_keys;    /* as the header says */
    uint32_t    num_objects; /* as the header says: referenced or not */
    uint64_t    index_offset;
    uint64_t    data_offset; /* always 40, whatever the header says */
    double      file_size_kb;
    char        file_crc32[12]; /* "0x1ecc24ac", as stored */
    uint32_t    flags;          /* the header's flag bits */
    uint64_t    file_size;
    uint64_t    index_size;     /* bytes of the index */
    uint64_t    trailing_bytes; /* after the index */
    uint64_t    keys;           /* different ones */
    uint64_t    memory;         /* heap bytes held for lookups, and for a copy of the file */
    bool        ordered;        /* keys stand in order and once each */
    bool        mapped;
    bool        ip_indexed; /* the index of addresses is made; these are 0 before: */
    uint8_t     reserved[5];
    uint64_t    ip_v4_keys, ip_v6_keys; /* keys that are blocks of addresses */
    uint64_t    ip_others;              /* keys that are not: left out of that index */
    uint32_t    section;                /* akv_fused_section */
    uint32_t    reserved_2;
    uint64_t    section_bytes;
} akv_fused_info;
#define AKV_FUSED_INFO_INIT                                                                  \
    {                                                                                        \
        sizeof(akv_fused_info), NULL, 0, 0, 0, 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, false, false, \
            false, {0}, 0, 0, 0, 0, 0, 0                                                     \
    }
AKV_API akv_status akv_fused_info_get(const akv_fused *fused, akv_fused_info *info_out);

/* What verify counted. The first group is damage, which the original's verify
 * refuses as well; the second breaks rules of the format that it lets pass. */
typedef struct akv_fused_report {
    size_t   size;            /* sizeof(akv_fused_report), set by the caller */
    uint64_t file_crc_faults; /* 0 or 1 */
    uint64_t object_crc_faults;
    uint64_t offset_faults;    /* offsets and lengths that leave the file */
    uint64_t order_faults;     /* keys below the one before */
    uint64_t duplicate_faults; /* keys that are there again */
    uint64_t count_faults;     /* header fields that do not fit the contents */
    uint64_t keys, objects;    /* looked at; objects with those no key leads to */
    uint64_t section_faults;   /* the hash section is damaged, or not that of this index */
} akv_fused_report;
#define AKV_FUSED_REPORT_INIT                               \
    {                                                       \
        sizeof(akv_fused_report), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }

/* Check everything: the file's CRC, every object's, order, duplicates, counts,
 * offsets and the hash section. AKV_CORRUPT when anything is wrong, after telling all of it,
 * with its offset, to opt->fault. `report_out` may be NULL; it is filled in
 * either case. */
AKV_API akv_status akv_fused_verify(const akv_fused *fused, const akv_job_options *opt,
                                    akv_fused_report *report_out);

/* Look-up by IP address, among keys that are blocks of addresses: the object of
 * the longest block (the one with the most prefix bits) that the address is in,
 * and that block's key as it is in the file. AKV_OK, AKV_ABSENT when no block
 * holds it, AKV_MISUSE when `address` is none, AKV_CORRUPT when the block's
 * object is not in the file (the key is answered all the same), AKV_NOMEM when
 * there is no memory for the index. `key_out` may be NULL.
 *
 * Addresses are written 192.0.2.1: four decimal numbers without leading zeros;
 * or 2001:db8::1: groups of one to four hex digits of either case, with one
 * "::" for one or more groups of zero, the last two groups perhaps in decimal
 * (::ffff:192.0.2.1). Nothing may stand around them: no space, bracket, port or
 * zone.
 *
 * A block is an address, "/", and how many of its upper bits count, 0 to 32 or
 * 128, without leading zeros. As keys:
 *  - A bare address is a block of one: /32 or /128.
 *  - Bits of the address past the prefix are ignored: 10.1.2.3/8 is 10.0.0.0/8,
 *    for a table that says so surely means the network this host is in, and
 *    leaving the key out would lose it in silence.
 *  - Keys that name the same block: one without such bits counts before those
 *    with; then the first in the order of keys. The others are never answered.
 *  - IPv4-mapped addresses are IPv4: ::ffff:192.0.2.1 looks up 192.0.2.1, and
 *    the key ::ffff:192.0.2.0/120 is 192.0.2.0/24. Apart from that the two
 *    families do not meet: ::/0 and other blocks shorter than ::ffff:0:0/96 hold
 *    no IPv4 address, mapped or not, and 0.0.0.0/0 no IPv6 address.
 *  - All other keys, such as 10.0.0/8, 010.0.0.0/8 or 10.0.0.0/33, are no
 *    blocks and take no part.
 *
 * The first look-up makes an index of all blocks in memory, once for each
 * reader: some 21 bytes for an IPv4 block that stands alone, 34 for an IPv6 one,
 * twice that at most, and 80 more for each block while it is made. Other threads
 * that look up meanwhile wait for it; afterwards nothing waits. */
AKV_API akv_status akv_fused_lookup_ip(const akv_fused *fused, akv_slice address,
                                       akv_slice *object_out, akv_slice *key_out);
/* The same for an address as it is in packets: 4 or 16 bytes, upper first. */
AKV_API akv_status akv_fused_lookup_ip_bytes(const akv_fused *fused, akv_slice address,
                                             akv_slice *object_out, akv_slice *key_out);
/* Make that index now, so that no look-up has to. */
AKV_API akv_status akv_fused_ip_index(const akv_fused *fused);

/* ----------------------------------------------------------------- writing
 *
 * A writer collects objects and keys; build writes the file. It is for one
 * thread at a time. The same calls give the same bytes, whatever the buffer. The
 * file gets a hash section, at most 12 bytes a key, unless it has no keys;
 * readers that don't know it let it pass.
 *
 * What fits the buffer stays in memory: a key takes 50 bytes and its own there,
 * an object 16 and its own. What doesn't fit is spilled to files without a name,
 * gone when the writer is freed or its process ends, and keys are sorted in
 * parts and merged by the build. Disk space for that is about the file's size
 * without its hash section, the keys' once more if they are many buffers full,
 * and 24 bytes a key while the hash section is made. Beyond the buffer there are
 *  - 8 bytes for each object and, for those added deduped, 11 to 22 more: these
 *    count towards the buffer, but leave at least a quarter of it to the rest;
 *  - the allocator's own overhead and some MiB for moving bytes;
 *  - the 256th part of the hash section, where that is more than half the buffer.
 * An object that is larger than the buffer goes to the disk at once. */

typedef struct akv_fused_writer akv_fused_writer;

/* No hash section: the bytes are those that the original writes. */
#define AKV_FUSED_PLAIN 0x1u

typedef struct akv_fused_writer_options {
    size_t               size;  /* sizeof(akv_fused_writer_options) */
    uint32_t             flags; /* AKV_FUSED_PLAIN */
    uint32_t             reserved;
    const akv_allocator *allocator; /* NULL: malloc */
    akv_env             *env;       /* NULL: POSIX files */
    uint64_t             buffer;    /* bytes of memory; default 256 MiB, least 1 MiB */
    /* Folder for what is spilled, which should be on a disk, not in memory. NULL:
     * what the environment variable TMPDIR says or, without it or with an env of
     * one's own, the current folder. */
    const char *temp_dir;
} akv_fused_writer_options;
#define AKV_FUSED_WRITER_OPTIONS_INIT                                                      \
    {                                                                                      \
        sizeof(akv_fused_writer_options), 0, 0, NULL, NULL, AKV_FUSED_DEFAULT_BUFFER, NULL \
    }

AKV_API akv_status akv_fused_writer_new(const akv_fused_writer_options *opt,
                                        akv_fused_writer              **writer_out);
AKV_API void       akv_fused_writer_free(akv_fused_writer *writer); /* takes NULL */

/* Add an object; ids are 0, 1, 2, ... Equal bytes added twice stay two objects.
 * A failed call adds nothing. */
AKV_API akv_status akv_fused_add_object(akv_fused_writer *writer, akv_slice object,
                                        uint32_t *id_out);
/* As add_object, but equal bytes that this call has added before keep their id. */
AKV_API akv_status akv_fused_add_deduped(akv_fused_writer *writer, akv_slice object,
                                         uint32_t *id_out);
/* Add a JSON text as a MessagePack object, which is what the original stores. */
AKV_API akv_status akv_fused_add_document(akv_fused_writer *writer, akv_slice json,
                                          uint32_t *id_out);
/* Lead `key` to an object. The same key again: the last one counts. AKV_MISUSE
 * when there is no object `id`, AKV_TOO_BIG for a key over the limit. */
AKV_API akv_status akv_fused_add_key(akv_fused_writer *writer, akv_slice key, uint32_t id);
/* Take a key back, as if it had not been added; it may be added again. Its
 * object stays in the file. A key that is not there is fine. */
AKV_API akv_status akv_fused_remove_key(akv_fused_writer *writer, akv_slice key);
/* add_object, then add_key; the object stays if the key fails. `id_out` may be NULL. */
AKV_API akv_status akv_fused_add(akv_fused_writer *writer, akv_slice key, akv_slice object,
                                 uint32_t *id_out);
/* Objects so far; add_key and remove_key calls so far, less those that sorting
 * has found to be undone by later ones: after a build, the keys in its file. */
AKV_API uint64_t akv_fused_writer_objects(const akv_fused_writer *writer);
AKV_API uint64_t akv_fused_writer_keys(const akv_fused_writer *writer);

/* Write the file, durably and in one step: until the last moment `path` is what
 * it was, and a failure leaves it so and nothing beside it. After a failure the
 * writer can build again; after success it keeps all it has, so more can be
 * added and built again. Progress is in bytes, those of merging included; its
 * total is an upper bound until repeated keys are known. */
AKV_API akv_status akv_fused_build(akv_fused_writer *writer, const char *path,
                                   const akv_job_options *opt);

/* Make one file of several: the sources in order, the keys of each in order.
 * Objects with equal bytes, in whichever source, become one; a later source's
 * key takes the place of an earlier one's, whose object stays. Objects that no
 * key of a source leads to are left out, and so are hash sections, of which the
 * output gets one of its own, unless AKV_FUSED_PLAIN is set: then its bytes are
 * those that the original's merge writes. No source makes an empty file.
 *
 * Every source is read to its end and checked, with its CRC-32 and those of its
 * objects, before anything is written to `output`, which may be one of them. A
 * damaged one is AKV_CORRUPT, which names it and the offset. Sources are mapped
 * one at a time; memory and what is spilled are as for a writer, and NULL for
 * temp_dir means beside `output`. */
AKV_API akv_status akv_fused_merge(const char *const *sources, size_t n, const char *output,
                                   const akv_fused_writer_options *opt, const akv_job_options *job);

/* --------------------------------------------------------------- reloading
 *
 * A reloader is a reader whose file may be replaced while it is in use: by any
 * build, or by a rename. One serves any number of threads, so it is also what a
 * pool of readers is for. Reads pin the file they use: that takes no lock, waits
 * for nothing and costs some ten nanoseconds, so pin once for what must agree,
 * such as a batch or a scan, or for each read. A reload opens and checks the new
 * file first, then swaps: no read fails or waits, those under way end on the
 * file they began with, and a bad new file leaves the old one serving. Its CRC is
 * checked, hash section or not, unless verify_on_open is AKV_FUSED_CHECK_NEVER.
 *
 *     akv_fused_reloader_open("names.fsdb", NULL, &r);
 *     akv_fused_watch_start(r, NULL, &w);
 *     ...                                                    in any thread:
 *     akv_fused_pin pin;
 *
 *     if (akv_fused_reloader_pin(r, &pin) == AKV_OK) {
 *         if (akv_fused_get(pin.fused, akv_str("mond"), &object) == AKV_OK)
 *             use(object);
 *         akv_fused_pin_release(&pin);
 *     }
 *
 * A file is another one when its time, its length, its inode or its device
 * differs. One changed in place counts as well, but see AKV_FUSED_MAP: replace
 * files, don't write into them. A relative path is looked up at each reload. */

typedef struct akv_fused_reloader akv_fused_reloader;

/* A hold on the file that was current, for one thread at a time; it may be
 * given back by another. What `fused` hands out is borrowed until then. Don't
 * close `fused`. */
typedef struct akv_fused_pin {
    const akv_fused *fused;
    uint64_t         generation; /* 1 for the file first opened, then 2, 3, ... */
    void            *pinned;
} akv_fused_pin;
#define AKV_FUSED_PIN_INIT \
    {                      \
        NULL, 0, NULL      \
    }

/* As akv_fused_open. The options, and what they point at, serve every reload. */
AKV_API akv_status akv_fused_reloader_open(const char *path, const akv_fused_options *opt,
                                           akv_fused_reloader **reloader_out);
/* AKV_BUSY with pins or watches live; the reloader stays usable then. Takes NULL.
 * After fork, the child may only drop what it has. */
AKV_API akv_status akv_fused_reloader_close(akv_fused_reloader *reloader);

/* Pin the current file: one that was current when or after the call began. Only
 * misuse fails. */
AKV_API akv_status akv_fused_reloader_pin(akv_fused_reloader *reloader, akv_fused_pin *pin_out);
/* Give it back and empty it; an empty one and NULL are fine. The last pin of a
 * file that was replaced closes that file. */
AKV_API void akv_fused_pin_release(akv_fused_pin *pin);
/* Pin and akv_fused_get in one. The pin holds the object, and is empty on any
 * answer but AKV_OK. */
AKV_API akv_status akv_fused_reloader_get(akv_fused_reloader *reloader, akv_slice key,
                                          akv_slice *object_out, akv_fused_pin *pin_out);

/* Open the file anew if it is another one, or in any case with `force`, and swap.
 * AKV_ABSENT: no file is there. That and any failure leave the old file serving;
 * the next call tries again. `changed_out` (may be NULL) tells of a swap. From
 * any thread; one reload runs at a time. AKV_BUSY when 255 replaced files are
 * still pinned. */
AKV_API akv_status akv_fused_reloader_reload(akv_fused_reloader *reloader, bool force,
                                             bool *changed_out);
/* The number of the current file, as in akv_fused_pin. */
AKV_API uint64_t akv_fused_reloader_generation(const akv_fused_reloader *reloader);

typedef struct akv_fused_watch akv_fused_watch;

typedef struct akv_fused_watch_options {
    size_t   size;        /* sizeof(akv_fused_watch_options) */
    uint32_t interval_ms; /* look at the file at least as often; default 1,000; 0 is refused */
    uint32_t reserved;
    /* Called on the watch's own thread, which waits for them; either may be
     * NULL. They may use the reloader, but not stop the watch. */
    void (*on_reload)(void *user, akv_fused_reloader *reloader);
    void (*on_error)(void *user, const akv_error *error); /* at each try that failed */
    void *user;
} akv_fused_watch_options;
#define AKV_FUSED_WATCH_OPTIONS_INIT                               \
    {                                                              \
        sizeof(akv_fused_watch_options), 1000, 0, NULL, NULL, NULL \
    }

/* Start a thread ("akv-watch", one for each watch; it takes no signals) that
 * reloads when the file has changed: on Linux as soon as one in its folder is
 * written or renamed, and where that can't be known, within the interval. It
 * begins by looking. While there is no file it waits for one; a bad one is
 * tried again each interval. */
AKV_API akv_status akv_fused_watch_start(akv_fused_reloader            *reloader,
                                         const akv_fused_watch_options *opt,
                                         akv_fused_watch              **watch_out);
/* At once, but a reload or callback that runs is waited for. Takes NULL. The
 * reloader goes on without. AKV_MISUSE in a callback of the watch itself. */
AKV_API akv_status akv_fused_watch_stop(akv_fused_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
