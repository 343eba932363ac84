/* The key of a store in a key store of the app: what it keeps opens the store again, what another keeps does not, and erasing
 * destroys it. */

#include <stdio.h>
#include <string.h>

#include "chorus.h"

struct vault {
    uint8_t key[32];
    int is_full;
    int loads, replaced, destroyed;
};

static int32_t load(void *context, uint8_t *key)
{
    struct vault *vault = context;
    vault->loads++;
    if (!vault->is_full) {
        return CHORUS_KEY_NONE;
    }
    memcpy(key, vault->key, 32);
    return CHORUS_KEY_DONE;
}

static int32_t replace(void *context, const uint8_t *key)
{
    struct vault *vault = context;
    memcpy(vault->key, key, 32);
    vault->is_full = 1;
    vault->replaced++;
    return CHORUS_KEY_DONE;
}

static int32_t destroy(void *context)
{
    struct vault *vault = context;
    memset(vault->key, 0, 32);
    vault->is_full = 0;
    vault->destroyed++;
    return CHORUS_KEY_DONE;
}

static int failures = 0;

static void check(int is_right, const char *what)
{
    if (!is_right) {
        printf("%s; the library said: %s\n", what, chorus_last_error());
        failures++;
    }
}

int main(int argc, char **argv)
{
    struct vault mine = {{0}, 0, 0, 0, 0}, other = {{7}, 1, 0, 0, 0};
    ChorusKeyStore keys = {&mine, load, replace, destroy};
    ChorusKeyStore others = {&other, load, replace, destroy};
    ChorusClient client;
    char *text;

    if (argc != 2) {
        return 2;
    }
    check(chorus_open_with(argv[1], &keys, NULL, &client) == CHORUS_OK, "a new store");
    check(mine.is_full && mine.replaced == 1, "it made a key, and gave it to keep");
    check(chorus_close(client) == CHORUS_OK, "closing");

    check(chorus_open_with(argv[1], &others, NULL, &client) == CHORUS_STORE, "another key does not open it");
    check(chorus_open(argv[1], NULL, NULL, &client) == CHORUS_STORE, "nor does a file that is not there");
    check(other.replaced == 0 && other.destroyed == 0, "the other key is as it was");
    check(chorus_open_with(argv[1], &keys, NULL, &client) == CHORUS_OK, "its own key does");
    check(mine.replaced == 1 && mine.destroyed == 0, "it is as it was");

    check(chorus_erase(client, &text) == CHORUS_OK, "erasing");
    check(chorus_text_free(text) == CHORUS_OK, "freeing");
    check(!mine.is_full && mine.destroyed > 0, "the key is destroyed");
    check(chorus_close(client) == CHORUS_OK, "closing");
    return failures == 0 ? 0 : 1;
}
