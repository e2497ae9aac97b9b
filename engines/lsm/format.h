/* SPDX-License-Identifier: MIT
 *
 * format.h: a store's files. One folder:
 *
 *   CURRENT           the name of the manifest in use, and a newline
 *   MANIFEST-000009   a log of edits: which tables there are
 *   000007.wal        write-ahead logs
 *   000008.sst        tables
 *   LOCK              held by the process that writes
 *
 * Numbers are decimal, at least six digits, and never used twice in a store.
 * Names are relative, so a folder may be moved. All integers are little-endian;
 * checksums are CRC-32C; varints are those of common/base/bytes.h.
 */
#ifndef AKVI_LSM_FORMAT_H
#define AKVI_LSM_FORMAT_H

#include "common/base/bytes.h"

#endif
