/*
 * The least desktop program around the client: the person allows what they like, the program takes part in learning,
 * shows a list with reasons, and takes everything back again.
 *
 *   desktop HOME AUTHORITY CERTIFICATE INVITATION COORDINATOR TASK ITEM...
 *
 * HOME is the client's folder; AUTHORITY and COORDINATOR are host:port; CERTIFICATE is the authority's PEM file, which
 * comes with the INVITATION; each ITEM is the number of something that the person bought.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chorus.h"

/* Every call says in one number what to do next; the sentence is for whoever reads the log. */
static void must(int32_t code, const char *what)
{
    if (code != CHORUS_OK) {
        fprintf(stderr, "%s: code %d: %s\n", what, (int)code, chorus_last_error());
        exit(1);
    }
}

/* Shows a text that a call gave, and frees it: texts of the library are freed by the library. */
static void show(const char *what, char *text)
{
    printf("%s: %s\n", what, text);
    must(chorus_text_free(text), "free");
}

/* The whole of a small file. */
static uint8_t *read_file(const char *path, size_t *length)
{
    static uint8_t bytes[65536];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    *length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return bytes;
}

/* The value of a short text in JSON that the library made. A real program has a JSON library. */
static void text_of(const char *json, const char *name, char *value, size_t size)
{
    char key[64];
    const char *from, *to;

    snprintf(key, sizeof key, "\"%s\":\"", name);
    from = strstr(json, key);
    to = from == NULL ? NULL : strchr(from + strlen(key), '"');
    if (to == NULL || (size_t)(to - from) - strlen(key) >= size) {
        fprintf(stderr, "no `%s` in %s\n", name, json);
        exit(1);
    }
    from += strlen(key);
    memcpy(value, from, (size_t)(to - from));
    value[to - from] = '\0';
}

/* Nothing is kept and nothing is sent before the person has read what it means and said yes. The digest ties their yes to
 * what they read: where a newer program says something else, they are asked anew. */
static void grant(ChorusClient client)
{
    char *notice, *receipt;
    char digest[80], decision[512];

    must(chorus_notice(client, "en", &notice), "notice");
    text_of(notice, "digest", digest, sizeof digest);
    must(chorus_text_free(notice), "free");
    snprintf(decision, sizeof decision,
             "{\"answer\": \"yes\", \"purposes\": [\"contribute-training\", \"local-personalisation\"],"
             " \"language\": \"en\", \"notice\": \"%s\"}",
             digest);
    must(chorus_decide(client, decision, &receipt), "decide");
    must(chorus_text_free(receipt), "free");
    puts("granted");
}

/* Where this program keeps the key of the client's store. A phone's calls its key store here, and a desktop's its keychain;
 * this one has memory alone, so that its client is gone with it. */
struct keychain {
    uint8_t key[32];
    int is_full;
};

static int32_t load_key(void *context, uint8_t *key)
{
    const struct keychain *keychain = context;

    if (!keychain->is_full) {
        return CHORUS_KEY_NONE;
    }
    memcpy(key, keychain->key, sizeof keychain->key);
    return CHORUS_KEY_DONE;
}

static int32_t replace_key(void *context, const uint8_t *key)
{
    struct keychain *keychain = context;

    memcpy(keychain->key, key, sizeof keychain->key);
    keychain->is_full = 1;
    return CHORUS_KEY_DONE;
}

static int32_t destroy_key(void *context)
{
    memset(context, 0, sizeof(struct keychain));
    return CHORUS_KEY_DONE;
}

/* What this program knows of its items: the one that is to be muted below is of a topic, and one is nobody's business. */
static const char CATALOGUE[] =
    "[{\"item\": 7, \"title\": \"Two Lakes\", \"topics\": [\"travel\"], \"price\": {\"amount\": 499, \"currency\": \"EUR\"}},"
    " {\"item\": 8, \"title\": \"The Night Train\", \"topics\": [\"travel\", \"crime\"]},"
    " {\"item\": 59, \"title\": \"Living with Asthma\", \"sensitive\": \"health\"}]";

int main(int argc, char **argv)
{
    ChorusClient client;
    struct keychain keychain = {{0}, 0};
    ChorusKeyStore keys;
    char words[512];
    char *text;
    char *erasure;
    uint8_t *certificate;
    size_t length;
    unsigned best;
    const char *found;
    time_t first;
    int i;

    if (argc < 8) {
        fprintf(stderr, "usage: %s HOME AUTHORITY CERTIFICATE INVITATION COORDINATOR TASK ITEM...\n", argv[0]);
        return 2;
    }
    /* A library that is older than the header lacks calls. */
    if (chorus_abi_version() < CHORUS_ABI_VERSION) {
        fprintf(stderr, "the library is too old\n");
        return 1;
    }

    /* No settings: everything is the careful choice. */
    keys.context = &keychain;
    keys.load = load_key;
    keys.replace = replace_key;
    keys.destroy = destroy_key;
    must(chorus_open_with(argv[1], &keys, NULL, &client), "open");
    must(chorus_catalogue(client, CATALOGUE), "catalogue");

    /* What the person's browser or system says for them. */
    must(chorus_signal(client, "{\"kind\": \"gpc\", \"on\": true}"), "signal");
    must(chorus_signals(client, &text), "signals");
    show("signals", text);

    /* How the switches stand, and whether the person may be asked now. */
    must(chorus_consents(client, &text), "consents");
    if (strstr(text, "\"state\":\"granted\"") != NULL || strstr(text, "\"may_ask\":true") == NULL) {
        fprintf(stderr, "something is granted, or nothing may be asked: %s\n", text);
        return 1;
    }
    must(chorus_text_free(text), "free");

    /* Before the person said yes, nothing is kept. */
    snprintf(words, sizeof words, "{\"item\": %s, \"kind\": \"purchase\", \"at\": %lld}", argv[7], (long long)time(NULL));
    if (chorus_record(client, words) != CHORUS_NOT_GRANTED) {
        fprintf(stderr, "something was kept without a grant\n");
        return 1;
    }
    grant(client);
    first = time(NULL);
    for (i = 7; i < argc; i++) {
        snprintf(words, sizeof words, "{\"item\": %s, \"kind\": \"purchase\", \"at\": %lld}", argv[i], (long long)first);
        must(chorus_record(client, words), "record");
    }

    /* The certificate that makes this device one of the federation. */
    certificate = read_file(argv[3], &length);
    must(chorus_enrol(client, argv[2], certificate, length, argv[4], &text), "enrol");
    show("enrolled", text);

    /* Blocks this thread until the task is learned, or two minutes are over; a program with windows does this on a thread of
     * its own, and calls chorus_stop() from the other one when the person comes back. */
    snprintf(words, sizeof words, "{\"coordinator\": \"%s\", \"task\": \"%s\", \"max_ms\": 120000, \"max_bytes\": 50000000,"
             " \"max_threads\": 1}", argv[5], argv[6]);
    must(chorus_contribute(client, words, &text), "contribute");
    show("contributed", text);

    /* From here on no network is needed. */
    snprintf(words, sizeof words, "{\"task\": \"%s\", \"length\": 3}", argv[6]);
    must(chorus_rank(client, words, &text), "rank");
    found = strstr(text, "\"item\":");
    if (found == NULL || sscanf(found, "\"item\":%u", &best) != 1) {
        fprintf(stderr, "an empty list: %s\n", text);
        return 1;
    }
    show("list", text);
    snprintf(words, sizeof words, "{\"task\": \"%s\", \"item\": %u, \"most\": 2}", argv[6], best);
    must(chorus_explain(client, words, &text), "explain");
    show("because", text);
    snprintf(words, sizeof words, "{\"task\": \"%s\", \"length\": 3}", argv[6]);
    must(chorus_what_if(client, words, (uint32_t)atoi(argv[7]), &text), "what if");
    show("what if", text);
    must(chorus_parameters(client, "en", &text), "parameters");
    show("parameters", text);
    must(chorus_status(client, &text), "status");
    show("status", text);
    must(chorus_activity(client, &text), "activity");
    show("activity", text);

    /* The person has had enough of it: it is on no list from now on, until they take that back. */
    snprintf(words, sizeof words, "{\"what\": {\"item\": %u}, \"choice\": \"mute\"}", best);
    must(chorus_choose(client, words), "choose");
    must(chorus_choices(client, &text), "choices");
    show("choices", text);
    snprintf(words, sizeof words, "{\"task\": \"%s\", \"length\": 60}", argv[6]);
    must(chorus_rank(client, words, &text), "rank");
    snprintf(words, sizeof words, "\"item\":%u,", best);
    if (strstr(text, words) != NULL || strstr(text, "\"item\":59,") != NULL) {
        fprintf(stderr, "a muted or a sensitive item is on the list: %s\n", text);
        return 1;
    }
    must(chorus_text_free(text), "free");
    snprintf(words, sizeof words, "{\"item\": %u}", best);
    must(chorus_unchoose(client, words), "unchoose");

    /* A mistake is put right: the first thing was never bought, and the second one is nobody's business any more. */
    snprintf(words, sizeof words, "{\"event\": {\"item\": %s, \"kind\": \"purchase\", \"at\": %lld}, \"kind\": \"view\"}",
             argv[7], (long long)first);
    must(chorus_correct(client, words, &text), "correct");
    show("corrected", text);
    if (argc > 8) {
        snprintf(words, sizeof words, "{\"item\": %s}", argv[8]);
        must(chorus_remove(client, words, &text), "remove");
        show("removed", text);
    }

    /* As easy as the yes: and from then on this client sends nothing. */
    must(chorus_withdraw(client, "contribute-training", &text), "withdraw");
    must(chorus_text_free(text), "free");
    snprintf(words, sizeof words, "{\"coordinator\": \"%s\", \"task\": \"%s\"}", argv[5], argv[6]);
    if (chorus_contribute(client, words, &text) != CHORUS_NOT_GRANTED) {
        fprintf(stderr, "it contributed after a withdrawal\n");
        return 1;
    }
    puts("withdrawn");

    /* What is kept is the person's: they can take it along, and they can end it. */
    must(chorus_export(client, "json", &text), "export");
    printf("exported: %zu bytes\n", strlen(text));
    must(chorus_text_free(text), "free");
    must(chorus_erase(client, &text), "erase");
    printf("erased: %s\n", text);
    must(chorus_verify_receipt(text, &erasure), "verify the receipt");
    must(chorus_text_free(text), "free");
    show("the receipt holds", erasure);
    if (keychain.is_full) {
        fprintf(stderr, "the key is still there\n");
        return 1;
    }
    must(chorus_close(client), "close");
    return 0;
}
