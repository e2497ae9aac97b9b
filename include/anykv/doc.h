/* SPDX-License-Identifier: MIT
 *
 * doc.h: documents: JSON and MessagePack read, checked, written and turned
 * into each other.
 *
 * Whole documents in one call:
 *
 *     akv_buffer packed = AKV_BUFFER_INIT;
 *
 *     if (akv_json_to_msgpack(akv_str("{\"id\":7}"), NULL, &packed) != AKV_OK)
 *         return fail(akv_last_error()->text);
 *     akv_buffer_free(&packed);
 *
 * Piece by piece, with a reader that is asked for one event after the other:
 *
 *     akv_doc_reader *reader;
 *     akv_doc_event   event;
 *     akv_status      rc = akv_doc_reader_json(text, NULL, &reader);
 *
 *     while (rc == AKV_OK && (rc = akv_doc_next(reader, &event)) == AKV_OK)
 *         use(&event);
 *     akv_doc_reader_free(reader);
 *     return rc == AKV_END ? AKV_OK : rc;
 *
 * CONTRACT
 *
 *  1. Strict. JSON is RFC 8259 in UTF-8 and nothing more: no comments, no
 *     trailing commas, no byte order mark, no bytes after the document.
 *     Invalid UTF-8 and escapes of lone surrogates are refused. A NUL in a
 *     string (as \u0000) is fine. MessagePack is the current format, every
 *     type of it; the byte c1, cut values, invalid UTF-8 in a str and bytes
 *     after the document are refused.
 *  2. Where. What is refused is AKV_CORRUPT, nesting past max_depth is
 *     AKV_TOO_BIG; the error record's offset is the byte at fault, counted
 *     from the start of the text, and for JSON its text also tells line and
 *     column (in characters), both from 1.
 *  3. Numbers. JSON integers without fraction or exponent from -2^63 to 2^64-1
 *     are exact (INT, UINT). Every other JSON number is a NUMBER that keeps
 *     its text; so is -0, which no integer holds. JSON to JSON copies number
 *     texts as they are.
 *  4. No recursion, and memory in proportion to the text: a length or count in
 *     MessagePack is compared with the bytes left before it is believed.
 *  5. Lossless. JSON to MessagePack and back keeps null, booleans, strings,
 *     arrays, maps in their order, integers, and NUMBERs as 64-bit floats. A
 *     NUMBER is taken if the double nearest to it, printed as the shortest
 *     decimal that reads back as that double, is the same decimal number: 1.50
 *     and 1e20 are (as 1.5 and 1e20), 0.1000000000000000055 is not. MessagePack
 *     to JSON and back keeps the same types, 64-bit floats bit for bit: they are
 *     written with a fraction or an exponent, so 1.0 stays a float. A 32-bit
 *     float keeps its value, as a 64-bit one.
 *  6. What the other side can't hold is AKV_UNSUPPORTED, with its offset,
 *     unless AKV_DOC_LOSSY asks for the nearest thing:
 *       NUMBER that fails rule 5   the nearest double, or an infinity
 *       bin, ext                   base64 text (RFC 4648, padded); the type of
 *                                  an ext is dropped
 *       NaN, infinities            null
 *       key that is no str         the text it would have as a value, as a
 *                                  string; a key in a container that is itself
 *                                  a key must be a scalar all the same
 *       str that is not UTF-8      U+FFFD for each byte that fits nowhere
 *  7. Threads. A reader or writer belongs to one thread at a time. The text
 *     that a reader reads must stay as it is until the reader is freed.
 */
#ifndef ANYKV_DOC_H
#define ANYKV_DOC_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------- options */

#define AKV_DOC_MANY            1u /* any number of documents, one after another */
#define AKV_DOC_LOSSY           2u /* see contract 6 */
#define AKV_DOC_RAW_TEXT        4u /* MessagePack: str need not be UTF-8 */
#define AKV_DOC_LONE_SURROGATES 8u /* JSON: read their escapes as U+FFFD */

/* What to do about a key that its map has already had. Keys are equal when
 * type and value are (JSON: after unescaping); containers, by their bytes. */
typedef enum akv_doc_duplicates {
    AKV_DOC_KEEP   = 0, /* they are told like any other */
    AKV_DOC_REFUSE = 1, /* AKV_CORRUPT, at the map's end, with the second's offset */
    AKV_DOC_LAST   = 2  /* only the last pair is told, where it stands */
} akv_doc_duplicates;

/* NULL means AKV_DOC_OPTIONS_INIT. */
typedef struct akv_doc_options {
    size_t               size;       /* sizeof(akv_doc_options) */
    uint32_t             flags;      /* AKV_DOC_*; unknown bits: AKV_MISUSE */
    uint32_t             duplicates; /* akv_doc_duplicates; of readers */
    uint32_t             max_depth;  /* containers open at once, up to 2^24 */
    uint32_t             indent;     /* JSON written: spaces a level, 0..16; 0: compact */
    const akv_allocator *allocator;  /* NULL: malloc; buffers bring their own */
} akv_doc_options;
#define AKV_DOC_OPTIONS_INIT                                   \
    {                                                          \
        sizeof(akv_doc_options), 0, AKV_DOC_KEEP, 512, 0, NULL \
    }

/* --------------------------------------------------------- whole documents
 *
 * The text may hold several documents under AKV_DOC_MANY; JSON output then
 * has a newline after each (NDJSON when compact). Buffers are replaced, and
 * emptied on failure; they must not hold the input. */

/* AKV_OK when the text is one valid document, else why it is not. */
AKV_API akv_status akv_json_check(akv_slice json, const akv_doc_options *opt);
AKV_API akv_status akv_msgpack_check(akv_slice msgpack, const akv_doc_options *opt);

/* The same document, compact or indented. */
AKV_API akv_status akv_json_format(akv_slice json, const akv_doc_options *opt,
                                   akv_buffer *json_out);
AKV_API akv_status akv_json_to_msgpack(akv_slice json, const akv_doc_options *opt,
                                       akv_buffer *msgpack_out);
AKV_API akv_status akv_msgpack_to_json(akv_slice msgpack, const akv_doc_options *opt,
                                       akv_buffer *json_out);

/* ------------------------------------------------------------------ events */

typedef enum akv_doc_type {
    AKV_DOC_NULL      = 0,
    AKV_DOC_BOOL      = 1,
    AKV_DOC_INT       = 2, /* i64 */
    AKV_DOC_UINT      = 3, /* u64, above INT64_MAX */
    AKV_DOC_NUMBER    = 4, /* JSON: bytes are its text; else f64. See akv_doc_double */
    AKV_DOC_STRING    = 5, /* bytes, UTF-8 */
    AKV_DOC_BINARY    = 6, /* bytes; MessagePack only */
    AKV_DOC_EXT       = 7, /* bytes and ext_type; MessagePack only */
    AKV_DOC_ARRAY     = 8, /* followed by its elements and ARRAY_END */
    AKV_DOC_ARRAY_END = 9,
    AKV_DOC_MAP       = 10, /* followed by key, value, key, value, ... and MAP_END */
    AKV_DOC_MAP_END   = 11
} akv_doc_type;

#define AKV_DOC_COUNT_UNKNOWN UINT64_MAX

/* One piece of a document. Fields that the type does not name are zero. */
typedef struct akv_doc_event {
    akv_doc_type type;
    bool         is_key;     /* it is, or begins or ends, a key of a map */
    bool         boolean;    /* BOOL */
    bool         is_float32; /* NUMBER: MessagePack held 32 bits */
    int8_t       ext_type;   /* EXT; -1 is a timestamp */
    int64_t      i64;        /* INT */
    uint64_t     u64;        /* UINT */
    double       f64;        /* NUMBER without text */
    /* STRING, BINARY, EXT: the contents; INT, UINT and NUMBER of JSON: the
     * text. Borrowed: a JSON string with escapes until the reader's next call,
     * all else points into the text that is read. */
    akv_slice bytes;
    /* ARRAY: elements, MAP: pairs; AKV_DOC_COUNT_UNKNOWN from JSON, and from
     * any reader that leaves out duplicates. */
    uint64_t count;
    uint64_t offset; /* of its first byte in the text */
} akv_doc_event;

/* The double nearest to a NUMBER, INT or UINT, whatever the locale; 0 for
 * other types. *exact_out, when given, tells whether contract 5 takes it. */
AKV_API double akv_doc_double(const akv_doc_event *event, bool *exact_out);

/* ----------------------------------------------------------------- reading */

typedef struct akv_doc_reader akv_doc_reader;

/* A reader over the whole `text`, which is borrowed until it is freed. */
AKV_API akv_status akv_doc_reader_json(akv_slice text, const akv_doc_options *opt,
                                       akv_doc_reader **reader_out);
AKV_API akv_status akv_doc_reader_msgpack(akv_slice bytes, const akv_doc_options *opt,
                                          akv_doc_reader **reader_out);
AKV_API void       akv_doc_reader_free(akv_doc_reader *reader); /* takes NULL */

/* The next event. AKV_END when the document, and with AKV_DOC_MANY the last of
 * them, has been read and nothing but white space follows; a failure stays. A
 * text of JSON is known to be valid only when AKV_END has been answered. */
AKV_API akv_status akv_doc_next(akv_doc_reader *reader, akv_doc_event *event_out);

/* After ARRAY or MAP: read on past its end, checking all of it. After any
 * other event: do nothing. */
AKV_API akv_status akv_doc_skip(akv_doc_reader *reader);

/* The offset just past the last event. From an event's own offset to here is
 * its raw text; after akv_doc_skip, that of the whole container. */
AKV_API uint64_t akv_doc_offset(const akv_doc_reader *reader);

/* How many containers are open; 0 after an event that completes a document. */
AKV_API uint32_t akv_doc_depth(const akv_doc_reader *reader);

/* ----------------------------------------------------------------- writing */

typedef struct akv_doc_writer akv_doc_writer;

/* A writer that appends to `out`, which is the caller's and must outlive it.
 * A failure stays: every later call answers it again, so a caller may check
 * akv_doc_finish alone. What is in the buffer then is of no use. */
AKV_API akv_status akv_doc_writer_json(akv_buffer *out, const akv_doc_options *opt,
                                       akv_doc_writer **writer_out);
AKV_API akv_status akv_doc_writer_msgpack(akv_buffer *out, const akv_doc_options *opt,
                                          akv_doc_writer **writer_out);
AKV_API void       akv_doc_writer_free(akv_doc_writer *writer); /* takes NULL */

/* AKV_OK when whole documents have been written (just one without
 * AKV_DOC_MANY), AKV_MISUSE when something is still open or missing. Until
 * then the buffer may hold unfinished headers. */
AKV_API akv_status akv_doc_finish(akv_doc_writer *writer);

/* Write an event as a reader told it. is_key is not looked at, since the writer
 * knows; the offset is for messages. A NUMBER's text, when it has one, must be
 * that of a JSON number. */
AKV_API akv_status akv_doc_put(akv_doc_writer *writer, const akv_doc_event *event);
/* Write all that the reader has left. */
AKV_API akv_status akv_doc_copy(akv_doc_reader *reader, akv_doc_writer *writer);

/* In a map, put keys and values by turns with the same calls. */
AKV_API akv_status akv_doc_put_null(akv_doc_writer *writer);
AKV_API akv_status akv_doc_put_bool(akv_doc_writer *writer, bool value);
AKV_API akv_status akv_doc_put_int(akv_doc_writer *writer, int64_t value);
AKV_API akv_status akv_doc_put_uint(akv_doc_writer *writer, uint64_t value);
AKV_API akv_status akv_doc_put_double(akv_doc_writer *writer, double value);
AKV_API akv_status akv_doc_put_string(akv_doc_writer *writer, akv_slice utf8);
AKV_API akv_status akv_doc_put_text(akv_doc_writer *writer, const char *utf8);
AKV_API akv_status akv_doc_put_binary(akv_doc_writer *writer, akv_slice bytes);
AKV_API akv_status akv_doc_put_ext(akv_doc_writer *writer, int8_t ext_type, akv_slice bytes);
/* `count` of elements or pairs, or AKV_DOC_COUNT_UNKNOWN; a count that turns
 * out wrong is AKV_MISUSE at the end. */
AKV_API akv_status akv_doc_put_array(akv_doc_writer *writer, uint64_t count);
AKV_API akv_status akv_doc_put_map(akv_doc_writer *writer, uint64_t count);
/* End the innermost container. */
AKV_API akv_status akv_doc_put_end(akv_doc_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
