#include "broker/placement.h"

#include <string.h>

#include "libxo/failure.h"
#include "libxo/table.h"

static uint64_t hash_of(xo_slice_t class_name)
{
    return xoi_hash_bytes(class_name.data, class_name.size);
}

void xo_unfits_add(xo_unfits_t *unfits, const xo_member_t *member, xo_slice_t class_name)
{
    unfits->ring[unfits->next] = (xo_unfit_t){member->id, member->generation, hash_of(class_name)};
    unfits->next = (unfits->next + 1) % XO_UNFIT_MAX;
}

static bool is_unfit(const xo_unfits_t *unfits, const xo_member_t *member, uint64_t class_hash)
{
    for (size_t i = 0; i < XO_UNFIT_MAX; i++) {
        const xo_unfit_t *unfit = &unfits->ring[i];
        if (unfit->pool == member->id && unfit->generation == member->generation &&
            unfit->class_hash == class_hash)
            return true;
    }
    return false;
}

static size_t load_of(const xo_member_t *member)
{
    return member->entry_count + member->coming;
}

xo_member_t *xo_placement_choose(const xo_pools_t *pools, const xo_unfits_t *unfits,
                                 xo_slice_t language, xo_slice_t class_name)
{
    xo_member_t *best = NULL;
    uint64_t class_hash = hash_of(class_name);
    for (xo_member_t *m = xo_pools_first(pools); m != NULL; m = xo_pools_next(m)) {
        bool may = m->state == XO_POOL_READY && m->link != NULL && m->recovers && !m->ending &&
                   xo_slice_eq_str(language, m->language) && !is_unfit(unfits, m, class_hash);
        if (may && (best == NULL || load_of(m) < load_of(best) ||
                    (load_of(m) == load_of(best) && m->index < best->index)))
            best = m;
    }
    return best;
}

/* The types are what pickle.find_class raises. */
bool xo_placement_is_unfit(xo_slice_t code, xo_slice_t type, xo_slice_t message)
{
    return xo_slice_eq_str(code, XO_CODE_NO_CLASS) || xo_slice_eq_str(code, XO_CODE_PICKLE) ||
           xo_slice_eq_str(type, "builtins.ModuleNotFoundError") ||
           xo_slice_eq_str(type, "builtins.ImportError") ||
           (xo_slice_eq_str(type, "builtins.AttributeError") &&
            xo_slice_starts(message, "Can't get attribute"));
}
