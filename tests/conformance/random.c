/* SPDX-License-Identifier: MIT
 *
 * random.c: the long random run, of a store against the model or of two stores
 * against each other.
 */
#include "tests/conformance/model.h"

#include <inttypes.h>
#include <stdlib.h>

/* What the steps may use on a run's stores. */
static void random_restrict(akvc_script *s, const akvc_run *r)
{
    bool path  = !(r->opt.flags & AKV_CONFORMANCE_NO_PATH);
    bool keeps = (r->caps & AKV_CAP_DURABLE) || (r->opt.flags & AKV_CONFORMANCE_KEEPS);

    s->caps &= r->caps;
    s->reopens     = s->reopens && path && keeps;
    s->has_paths   = s->has_paths && path;
    s->moves_clock = s->moves_clock && r->moves_clock;
    s->building    = s->building || (r->caps_new & AKV_CAP_BUILD);
}

static void random_native(akvc_script *s, akvc_run *r)
{
    akv *db = akvc_new(r);

    s->native &= ~akv_capabilities_emulated(db);
    akvc_fill(r, db, NULL, 0);
    akvc_close(r, db);
}

static void random_differ(akvc_run *r, const akvc_step *step, unsigned at,
                          akvc_side *const sides[2])
{
    akv_buffer text = AKV_BUFFER_INIT;

    for (int i = 0; i < 2; i++)
        OK(r, akv_buffer_append(&sides[i]->answer, "", 1));
    akvc_step_print(step, &text);
    akvc_fail(r, __FILE__, __LINE__, "step %u of seed %" PRIu64 ": %.600s\n%s: %.500s\n%s: %.500s",
              at, r->seed, (const char *)text.data, sides[0]->name,
              (const char *)sides[0]->answer.data, sides[1]->name,
              (const char *)sides[1]->answer.data);
}

static void random_step(akvc_run *r, const akvc_step *step, unsigned at, akvc_side *const sides[2])
{
    for (int i = 0; i < 2; i++) {
        sides[i]->answer.len = 0;
        sides[i]->step(sides[i], step);
    }
    if (!akvc_equal(akv_bytes(sides[0]->answer.data, sides[0]->answer.len),
                    akv_bytes(sides[1]->answer.data, sides[1]->answer.len)))
        random_differ(r, step, at, sides);
}

static void random_play(akvc_run *r, akvc_script *s, akvc_side *const sides[2])
{
    akvc_step *step = malloc(sizeof *step);

    CHECK(r, step != NULL);
    for (unsigned at = 0; at < r->opt.steps || s->building; at++) {
        akvc_script_next(s, step);
        random_step(r, step, at, sides);
    }
    *step = (akvc_step){.kind = AKVC_DUMP, .snapshot = -1};
    random_step(r, step, r->opt.steps, sides);
    free(step);
    sides[0]->end(sides[0]);
    sides[1]->end(sides[1]);
}

static akvc_script *random_script(akvc_run *a, akvc_run *b)
{
    akvc_script *s = calloc(1, sizeof *s);

    CHECK(a, s != NULL);
    s->caps    = AKV_CAP_ALL;
    s->reopens = s->has_paths = s->moves_clock = true;
    random_restrict(s, a);
    random_restrict(s, b);
    s->native = s->caps;
    random_native(s, a);
    random_native(s, b);
    if (s->building)
        s->caps = s->native = s->caps & ~(uint64_t)AKV_CAP_WRITE;
    akvc_script_begin(s, a->random.state);
    return s;
}

static void random_against_model(akvc_run *r)
{
    akvc_script *s = random_script(r, r);
    akvc_side   *sides[2];

    sides[0] = akvc_side_model(r, s);
    sides[1] = akvc_side_store(r, s);
    random_play(r, s, sides);
    free(s);
}

const akvc_case akvc_random_cases[] = {
    {"random: a long run answers as the model does", AKV_CAP_READ, 0, random_against_model},
    {NULL, 0, 0, NULL},
};

/* ------------------------------------------------------------------- two stores */

static void random_compare(akvc_run *a, akvc_run *b)
{
    akvc_script *s = random_script(a, b);
    akvc_side   *sides[2];

    sides[0] = akvc_side_store(a, s);
    sides[1] = akvc_side_store(b, s);
    random_play(a, s, sides);
    free(s);
}

/* Whichever run fails, the case fails. */
static bool random_compare_case(akvc_run *a, akvc_run *b)
{
    if (setjmp(a->escape) != 0)
        return false;
    if (setjmp(b->escape) != 0)
        return false;
    random_compare(a, b);
    return true;
}

static int random_compare_report(akvc_run *a, akvc_run *b)
{
    bool equal = random_compare_case(a, b);

    akvc_print(a, "%sok 1 - compare: %s and %s answer alike, seed %" PRIu64, equal ? "" : "not ",
               a->engine, b->engine, a->seed);
    if (!equal)
        akvc_print_why(a->why[0] ? a : b);
    akvc_print(a, "1..1");
    a->failed = b->failed = !equal;
    return !equal;
}

int akv_conformance_compare(const akv_conformance_options *a, const akv_conformance_options *b)
{
    akvc_run *runs   = calloc(2, sizeof *runs);
    int       failed = 1;

    if (runs && akvc_begin(&runs[0], a)) {
        if (akvc_begin(&runs[1], b)) {
            runs[0].random.state = runs[0].seed;
            failed               = random_compare_report(&runs[0], &runs[1]);
            akvc_end(&runs[1]);
        }
        akvc_end(&runs[0]);
    }
    free(runs);
    return failed;
}
