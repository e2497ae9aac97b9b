/* SPDX-License-Identifier: MIT
 *
 * handle.h: how an engine's native header reaches inside a handle. The front
 * layer implements it; only the akv_NAME_of calls need it, so a program that
 * uses an engine directly links no front layer.
 */
#ifndef AKVI_BASE_HANDLE_H
#define AKVI_BASE_HANDLE_H

#include <anykv/engine.h>

/* The engine's own part of an open handle, or NULL when `db` is NULL or belongs
 * to an engine other than `engine`. */
void *akvi_handle_impl(akv *db, const akv_engine *engine);

#endif
