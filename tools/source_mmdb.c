/* SPDX-License-Identifier: MIT
 *
 * source_mmdb.c: records from a MaxMind database, a binary tree over the bits
 * of addresses whose leaves lead to documents, read by libmaxminddb. Built
 * without that, opening one says so.
 *
 * Each network of the tree is a record: its key is the CIDR block as text, its
 * value the document as MessagePack. The IPv4 networks of a tree of IPv6 hang
 * at ::/96 and get IPv4 keys. Other branches that lead to that same node
 * (::ffff:0:0/96, 2002::/16 and the like) are its aliases and are left out. A
 * network shorter than ::/96 around it is told once more, as 0.0.0.0/0.
 *
 * A file may be hostile: the library checks offsets, and here depth, visits of
 * nodes, and what documents grow to when their pointers are followed are
 * bounded.
 */
#include "tools/source.h"

#ifdef HAVE_LIBMAXMINDDB

#include <anykv/doc.h>

#include <arpa/inet.h>
#include <maxminddb.h>
#include <stdlib.h>

#define MMDB_BITS        128u
#define MMDB_NEST        128u               /* of a document; real ones need five or so */
#define MMDB_LARGEST     ((size_t)16 << 20) /* of a document */
#define MMDB_GROWTH      1000u              /* all documents, of the file's size */
#define MMDB_VISITS      16u                /* of a node, on average */
#define MMDB_CACHE_SLOTS 4096u              /* documents kept, by their offset */

typedef struct mmdb_step {
    MMDB_search_node_s node;
    unsigned           side; /* the next to take; 2: both are done */
} mmdb_step;

typedef struct mmdb_cached {
    bool       there;
    uint32_t   offset;
    akv_buffer document;
} mmdb_cached;

struct source_mmdb {
    MMDB_s       db;
    bool         is_open;
    mmdb_step    path[MMDB_BITS];
    unsigned     depth;
    uint8_t      ip[16];   /* the bits of the path; below it zero */
    bool         again_v4; /* the record just told comes again, as 0.0.0.0/0 */
    uint64_t     visits, grown;
    mmdb_cached  cache[MMDB_CACHE_SLOTS];
    mmdb_cached *current;
};

/* ----------------------------------------------------------------- documents */

/* A container that is being read. */
typedef struct mmdb_open {
    uint64_t left; /* values to come, keys counted */
    uint32_t next; /* where */
    bool     is_map;
    bool     is_inline; /* what follows it begins where it ends */
} mmdb_open;

/* One beyond 64 bits: text, since MessagePack has no such integers. */
static void mmdb_put_uint128(akv_doc_writer *w, const MMDB_entry_data_s *e)
{
    uint8_t  bytes[16];
    uint64_t high = 0, low = 0;
    char     text[2 + 32 + 1];

#if MMDB_UINT128_IS_BYTE_ARRAY
    memcpy(bytes, e->uint128, sizeof bytes);
#else
    for (unsigned i = 0; i < 16; i++)
        bytes[15 - i] = (uint8_t)(e->uint128 >> 8 * i);
#endif
    for (unsigned i = 0; i < 8; i++) {
        high = high << 8 | bytes[i];
        low  = low << 8 | bytes[8 + i];
    }
    if (high == 0) {
        akv_doc_put_uint(w, low);
        return;
    }
    snprintf(text, sizeof text, "0x%016llx%016llx", (unsigned long long)high,
             (unsigned long long)low);
    akv_doc_put_text(w, text);
}

/* Failures of the writer stay in it. False for a type that is none. */
static bool mmdb_put_scalar(akv_doc_writer *w, const MMDB_entry_data_s *e)
{
    akv_doc_event real = {.type = AKV_DOC_NUMBER, .is_float32 = true};

    switch (e->type) {
    case MMDB_DATA_TYPE_UTF8_STRING:
        akv_doc_put_string(w, akv_bytes(e->utf8_string, e->data_size));
        break;
    case MMDB_DATA_TYPE_BYTES: akv_doc_put_binary(w, akv_bytes(e->bytes, e->data_size)); break;
    case MMDB_DATA_TYPE_DOUBLE: akv_doc_put_double(w, e->double_value); break;
    case MMDB_DATA_TYPE_FLOAT:
        real.f64 = (double)e->float_value;
        akv_doc_put(w, &real);
        break;
    case MMDB_DATA_TYPE_UINT16: akv_doc_put_uint(w, e->uint16); break;
    case MMDB_DATA_TYPE_UINT32: akv_doc_put_uint(w, e->uint32); break;
    case MMDB_DATA_TYPE_INT32: akv_doc_put_int(w, e->int32); break;
    case MMDB_DATA_TYPE_UINT64: akv_doc_put_uint(w, e->uint64); break;
    case MMDB_DATA_TYPE_UINT128: mmdb_put_uint128(w, e); break;
    case MMDB_DATA_TYPE_BOOLEAN: akv_doc_put_bool(w, e->boolean); break;
    default: return false;
    }
    return true;
}

/* What stands at an offset of the data section, a pointer followed. */
static bool mmdb_value(const MMDB_s *db, uint32_t offset, MMDB_entry_data_s *out)
{
    static const char *const here[] = {NULL};
    MMDB_entry_s             entry  = {db, offset};

    return MMDB_aget_value(&entry, out, here) == MMDB_SUCCESS && out->has_data;
}

/* Put the value at `offset`; a container is put open and becomes *open_out.
 * *next_out is where the value after it begins, if that is known already. */
static bool mmdb_put(const MMDB_s *db, akv_doc_writer *w, uint32_t offset, bool is_key,
                     mmdb_open *open_out, uint32_t *next_out)
{
    MMDB_entry_data_s e;
    bool              is_map;

    open_out->left = UINT64_MAX;
    if (!mmdb_value(db, offset, &e) || (is_key && e.type != MMDB_DATA_TYPE_UTF8_STRING))
        return false;
    /* Past a pointer, whose first byte holds its length, the library does not
     * say what follows when it leads to a container. */
    open_out->is_inline = e.offset == offset;
    *next_out =
        open_out->is_inline ? e.offset_to_next : offset + 2 + (db->data_section[offset] >> 3 & 3);
    is_map = e.type == MMDB_DATA_TYPE_MAP;
    if (!is_map && e.type != MMDB_DATA_TYPE_ARRAY)
        return mmdb_put_scalar(w, &e);
    open_out->is_map = is_map;
    open_out->left   = (uint64_t)e.data_size * (is_map ? 2 : 1);
    if (!open_out->is_inline && !mmdb_value(db, e.offset, &e))
        return false;
    open_out->next = e.offset_to_next;
    if (is_map)
        akv_doc_put_map(w, e.data_size);
    else
        akv_doc_put_array(w, e.data_size);
    return true;
}

/* The document at `offset`; false when it is damaged, too deep or too large. */
static bool mmdb_document(const MMDB_s *db, akv_doc_writer *w, uint32_t offset,
                          const akv_buffer *out)
{
    mmdb_open open[MMDB_NEST];
    unsigned  depth = 0;
    uint32_t  next;

    if (!mmdb_put(db, w, offset, false, &open[0], &next))
        return false;
    depth = open[0].left != UINT64_MAX;
    while (depth > 0) {
        mmdb_open *top    = &open[depth - 1];
        bool       is_key = top->is_map && top->left % 2 == 0;

        if (top->left == 0) {
            akv_doc_put_end(w);
            if (--depth > 0 && top->is_inline)
                top[-1].next = top->next;
            continue;
        }
        if (depth == MMDB_NEST || out->len > MMDB_LARGEST)
            return false;
        top->left--;
        if (!mmdb_put(db, w, top->next, is_key, &open[depth], &top->next))
            return false;
        depth += open[depth].left != UINT64_MAX;
    }
    return true;
}

/* The document at `offset` into the cache, from where it is told. */
static int mmdb_load(cli_source *s, uint32_t offset)
{
    struct source_mmdb *m    = s->mmdb;
    mmdb_cached        *slot = &m->cache[(offset ^ offset >> 12) % MMDB_CACHE_SLOTS];
    akv_doc_writer     *w    = NULL;
    akv_status          status;
    bool                sound;

    m->current = slot;
    if (slot->there && slot->offset == offset)
        return CLI_GO;
    slot->there        = false;
    slot->document.len = 0;
    status             = akv_doc_writer_msgpack(&slot->document, NULL, &w);
    sound              = status == AKV_OK && mmdb_document(&m->db, w, offset, &slot->document);
    status             = sound ? akv_doc_finish(w) : status;
    akv_doc_writer_free(w);
    if (status != AKV_OK)
        return cli_source_failed(s);
    if (!sound)
        return source_fail(s, "its record is damaged, or nests or grows beyond reason");
    m->grown += slot->document.len;
    if (m->grown / MMDB_GROWTH > s->total + MMDB_LARGEST)
        return source_fail(s, "the records grow to over %u times the file", MMDB_GROWTH);
    slot->there  = true;
    slot->offset = offset;
    return CLI_GO;
}

/* ---------------------------------------------------------------------- tree */

static bool mmdb_zeros(const uint8_t *ip, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ip[i])
            return false;
    return true;
}

/* The block of the first `bits` bits of the path. */
static void mmdb_key(cli_source *s, unsigned bits)
{
    struct source_mmdb *m  = s->mmdb;
    bool                v4 = m->db.metadata.ip_version == 4, mixed = false;
    char                text[INET6_ADDRSTRLEN];

    if (!v4 && mmdb_zeros(m->ip, 12)) {
        mixed       = bits >= 96;
        m->again_v4 = bits < 96;
    }
    inet_ntop(v4 || mixed ? AF_INET : AF_INET6, m->ip + (mixed ? 12 : 0), text, sizeof text);
    s->key.len = 0;
    cli_printf(&s->key, "%s/%u", text, mixed ? bits - 96 : bits);
}

/* Go down to a node. */
static int mmdb_enter(cli_source *s, uint32_t number)
{
    struct source_mmdb *m    = s->mmdb;
    mmdb_step          *step = &m->path[m->depth];

    if (m->depth == m->db.depth)
        return source_fail(s, "the tree is deeper than addresses are long: it is damaged");
    if (m->visits++ / MMDB_VISITS > m->db.metadata.node_count)
        return source_fail(s, "the tree has branches that meet again: it is damaged");
    if (MMDB_read_node(&m->db, number, &step->node) != MMDB_SUCCESS)
        return source_fail(s, "node %u of the tree is not there", (unsigned)number);
    step->side = 0;
    m->depth++;
    return CLI_GO;
}

/* Whether a branch goes to the IPv4 networks, and not by ::/96 itself. */
static bool mmdb_is_alias(const struct source_mmdb *m, uint64_t number)
{
    const MMDB_ipv4_start_node_s *v4 = &m->db.ipv4_start_node;

    return m->db.metadata.ip_version == 6 && v4->netmask == 96 && v4->node_value == number &&
           !(m->depth == 96 && mmdb_zeros(m->ip, 12));
}

/* Take the branch that is next on the path; CLI_FINE when it holds a record. */
static int mmdb_branch(cli_source *s)
{
    struct source_mmdb       *m    = s->mmdb;
    mmdb_step                *step = &m->path[m->depth - 1];
    const MMDB_search_node_s *node = &step->node;
    unsigned                  side = step->side++, at = m->depth - 1, bit = 0x80u >> at % 8;
    uint64_t                  record = side ? node->right_record : node->left_record;

    m->ip[at / 8] = (uint8_t)(side == 1 ? m->ip[at / 8] | bit : m->ip[at / 8] & ~bit);
    if (side == 2) {
        m->depth--;
        return CLI_GO;
    }
    switch (side ? node->right_record_type : node->left_record_type) {
    case MMDB_RECORD_TYPE_EMPTY: return CLI_GO;
    case MMDB_RECORD_TYPE_SEARCH_NODE:
        return mmdb_is_alias(m, record) ? CLI_GO : mmdb_enter(s, (uint32_t)record);
    case MMDB_RECORD_TYPE_DATA: return CLI_FINE;
    default: return source_fail(s, "the tree leads out of the file");
    }
}

int source_next_mmdb(cli_source *s, cli_record *out)
{
    struct source_mmdb *m = s->mmdb;
    mmdb_step          *step;
    uint32_t            offset;
    int                 code = CLI_GO;

    s->number++;
    if (m->again_v4) {
        m->again_v4 = false;
        s->key.len  = 0;
        cli_append_text(&s->key, "0.0.0.0/0");
    } else {
        while (code == CLI_GO && m->depth > 0)
            code = mmdb_branch(s);
        if (code != CLI_FINE)
            return code == CLI_GO ? CLI_FINE : code; /* the whole path is done */
        step     = &m->path[m->depth - 1];
        offset   = step->side == 1 ? step->node.left_record_entry.offset
                                   : step->node.right_record_entry.offset;
        s->begin = (uint64_t)(m->db.data_section - m->db.file_content) + offset;
        mmdb_key(s, m->depth);
        code = mmdb_load(s, offset);
        if (code != CLI_GO)
            return code;
    }
    out->key      = cli_slice(&s->key);
    out->value    = cli_slice(&m->current->document);
    out->encoding = AKV_ENCODING_MSGPACK;
    return CLI_GO;
}

int source_mmdb_open(cli_source *s)
{
    struct source_mmdb *m = s->mmdb = calloc(1, sizeof *m);
    int                 rc;

    if (!m)
        return cli_fail(s->c, "AKV_NOMEM", NULL, AKV_NO_OFFSET, "out of memory");
    rc = MMDB_open(s->name, MMDB_MODE_MMAP, &m->db);
    if (rc != MMDB_SUCCESS)
        return cli_fail(s->c, "INPUT", s->name, AKV_NO_OFFSET,
                        "no MaxMind database, or a damaged one: %s", MMDB_strerror(rc));
    m->is_open = true;
    return m->db.metadata.node_count > 0 ? mmdb_enter(s, 0) : CLI_GO;
}

uint64_t source_mmdb_done(const cli_source *s)
{
    const struct source_mmdb *m    = s->mmdb;
    double                    part = (double)m->visits / ((double)m->db.metadata.node_count + 1);

    return part < 1 ? (uint64_t)(part * (double)s->total) : s->total;
}

void source_mmdb_close(cli_source *s)
{
    struct source_mmdb *m = s->mmdb;

    if (!m)
        return;
    if (m->is_open)
        MMDB_close(&m->db);
    for (size_t i = 0; i < MMDB_CACHE_SLOTS; i++)
        akv_buffer_free(&m->cache[i].document);
    free(m);
}

#else

int source_mmdb_open(cli_source *s)
{
    return cli_fail(s->c, "AKV_UNSUPPORTED", s->name, AKV_NO_OFFSET,
                    "this anykv was built without libmaxminddb (Debian package libmaxminddb-dev), "
                    "which reads MaxMind databases");
}

int source_next_mmdb(cli_source *s, cli_record *out)
{
    (void)s;
    (void)out;
    return CLI_FINE;
}

uint64_t source_mmdb_done(const cli_source *s)
{
    return s->total;
}

void source_mmdb_close(cli_source *s)
{
    (void)s;
}

#endif
