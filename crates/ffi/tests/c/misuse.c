/* Everything that a caller can get wrong without breaking its word about pointers: each is a code and a sentence. */

#include <stdio.h>
#include <string.h>

#include "chorus.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static int failures = 0;

static void expect(const char *what, int32_t found, int32_t wanted)
{
    const char *sentence = chorus_last_error();
    int told = strlen(sentence) > 0;
    if (found != wanted || told != (wanted != CHORUS_OK)) {
        printf("%s: code %d, expected %d; it said: %s\n", what, (int)found, (int)wanted, sentence);
        failures++;
    }
}

static void untouched(const char *what, const char *text)
{
    if (text != NULL) {
        printf("%s: a failed call gave a text\n", what);
        failures++;
    }
}

static int32_t broken_load(void *context, uint8_t *key)
{
    (void)context;
    (void)key;
    return -7;
}

static int32_t no_load(void *context, uint8_t *key)
{
    (void)context;
    (void)key;
    return CHORUS_KEY_NONE;
}

static int32_t broken_replace(void *context, const uint8_t *key)
{
    (void)context;
    (void)key;
    return 1;
}

static int32_t no_destroy(void *context)
{
    (void)context;
    return CHORUS_KEY_DONE;
}

/* A key store without all its callbacks, and ones that fail. */
static void key_stores(const char *home)
{
    ChorusKeyStore keys = {NULL, NULL, broken_replace, no_destroy};
    ChorusClient client = 7;

    expect("no key store", chorus_open_with(home, NULL, NULL, &client), CHORUS_MISUSE);
    expect("no load", chorus_open_with(home, &keys, NULL, &client), CHORUS_MISUSE);
    keys.load = broken_load;
    expect("a load that fails", chorus_open_with(home, &keys, NULL, &client), CHORUS_STORE);
    if (strstr(chorus_last_error(), "`load` gave -7") == NULL) {
        printf("it does not say what failed: %s\n", chorus_last_error());
        failures++;
    }
    keys.load = no_load;
    expect("a replace that fails", chorus_open_with(home, &keys, NULL, &client), CHORUS_STORE);
    keys.destroy = NULL;
    expect("no destroy", chorus_open_with(home, &keys, NULL, &client), CHORUS_MISUSE);
    expect("no home", chorus_open_with(NULL, &keys, NULL, &client), CHORUS_MISUSE);
    if (client != 0) {
        printf("a failed open gave a client\n");
        failures++;
    }
}

/* What an app knows of its items, what the person chooses, and what their browser says. */
static void catalogue_choices_signals(ChorusClient client)
{
    char *text = (char *)"left over";

    expect("no items", chorus_catalogue(client, NULL), CHORUS_MISUSE);
    expect("items that are no list", chorus_catalogue(client, "{}"), CHORUS_MISUSE);
    expect("not UTF-8", chorus_catalogue(client, "\xff"), CHORUS_MISUSE);
    expect("an item twice", chorus_catalogue(client, "[{\"item\": 1}, {\"item\": 1}]"), CHORUS_MISUSE);
    expect("no category", chorus_catalogue(client, "[{\"item\": 1, \"sensitive\": \"hair\"}]"), CHORUS_MISUSE);
    expect("no currency", chorus_catalogue(client, "[{\"item\": 1, \"price\": {\"amount\": 1, \"currency\": \"eur\"}}]"),
           CHORUS_MISUSE);
    expect("a price below nothing",
           chorus_catalogue(client, "[{\"item\": 1, \"price\": {\"amount\": -1, \"currency\": \"EUR\"}}]"), CHORUS_MISUSE);
    expect("a catalogue", chorus_catalogue(client, "[{\"item\": 1, \"title\": \"One\"}]"), CHORUS_OK);
    expect("a list of the first day", chorus_rank(client, "{\"task\": \"films\", \"length\": 3}", &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("no such topic", chorus_choose(client, "{\"what\": {\"topic\": \"x\"}, \"choice\": \"mute\"}"), CHORUS_MISUSE);
    expect("none", chorus_catalogue(client, "[]"), CHORUS_OK);

    expect("no choice", chorus_choose(client, NULL), CHORUS_MISUSE);
    expect("an unknown choice", chorus_choose(client, "{\"what\": {\"item\": 1}, \"choice\": \"love\"}"), CHORUS_MISUSE);
    expect("too much", chorus_choose(client, "{\"what\": {\"item\": 1}, \"choice\": \"mute\", \"now\": 1}"), CHORUS_MISUSE);
    expect("not granted", chorus_choose(client, "{\"what\": {\"item\": 1}, \"choice\": \"mute\"}"), CHORUS_NOT_GRANTED);
    expect("nothing to take back", chorus_unchoose(client, "{\"item\": 1}"), CHORUS_OK);
    expect("about nothing", chorus_unchoose(client, "{}"), CHORUS_MISUSE);
    expect("no place", chorus_choices(client, NULL), CHORUS_MISUSE);
    expect("choices", chorus_choices(client, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);

    expect("no signal", chorus_signal(client, NULL), CHORUS_MISUSE);
    expect("an unknown signal", chorus_signal(client, "{\"kind\": \"smoke\"}"), CHORUS_MISUSE);
    /* What cannot be read denies; that is no misuse. */
    expect("rubbish", chorus_signal(client, "{\"kind\": \"tcf\", \"applies\": true, \"string\": \"rubbish\"}"), CHORUS_OK);
    expect("gpp", chorus_signal(client, "{\"kind\": \"gpp\", \"sections\": [6], \"string\": \"DBABTA~1YYN\"}"), CHORUS_OK);
    expect("gpc", chorus_signal(client, "{\"kind\": \"gpc\", \"on\": true}"), CHORUS_OK);
    expect("signals", chorus_signals(client, &text), CHORUS_OK);
    if (strstr(text, "third-party-share") == NULL || strstr(text, "contribute-training") == NULL) {
        printf("the signals deny nothing: %s\n", text);
        failures++;
    }
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("no place", chorus_signals(client, NULL), CHORUS_MISUSE);
}

/* What the person corrects and looks up. */
static void corrections_and_screens(ChorusClient client, const char *home)
{
    char *text = (char *)"left over";

    expect("consents", chorus_consents(client, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("no place", chorus_consents(client, NULL), CHORUS_MISUSE);
    expect("asked for nothing", chorus_asked(client, NULL), CHORUS_MISUSE);
    expect("asked for no purpose", chorus_asked(client, "world peace"), CHORUS_MISUSE);
    expect("asked", chorus_asked(client, "contribute-training"), CHORUS_OK);
    expect("consents", chorus_consents(client, &text), CHORUS_OK);
    if (strstr(text, "\"may_ask\":false") == NULL) {
        printf("it may be asked again at once: %s\n", text);
        failures++;
    }
    expect("freeing", chorus_text_free(text), CHORUS_OK);

    expect("no such event", chorus_correct(client, "{\"event\": {\"item\": 1, \"at\": 5}, \"kind\": \"view\"}", &text), CHORUS_OK);
    if (strcmp(text, "\"unknown\"") != 0) {
        printf("it corrected what is not there: %s\n", text);
        failures++;
    }
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("nine stars", chorus_correct(client, "{\"event\": {\"item\": 1, \"at\": 5}, \"kind\": \"rating\", \"value\": 9}",
           &text), CHORUS_MISUSE);
    untouched("nine stars", text);
    expect("no correction", chorus_correct(client, NULL, &text), CHORUS_MISUSE);
    expect("nothing to remove", chorus_remove(client, "{}", &text), CHORUS_MISUSE);
    expect("both at once", chorus_remove(client, "{\"item\": 1, \"event\": {\"item\": 1, \"at\": 5}}", &text), CHORUS_MISUSE);
    untouched("both at once", text);
    expect("no such item", chorus_remove(client, "{\"item\": 1}", &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);

    expect("parameters", chorus_parameters(client, "de", &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("no language", chorus_parameters(client, "tlh", &text), CHORUS_MISUSE);
    expect("activity", chorus_activity(client, &text), CHORUS_OK);
    if (strcmp(text, "[]") != 0) {
        printf("something left: %s\n", text);
        failures++;
    }
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("no model", chorus_what_if(client, "{\"task\": \"films\", \"length\": 3}", 1, &text), CHORUS_NO_MODEL);
    untouched("no model", text);
    expect("erasing no folder", chorus_erase_folder(NULL, NULL, &text), CHORUS_MISUSE);
    expect("no receipt", chorus_erase_folder(home, NULL, NULL), CHORUS_MISUSE);
}

/* A receipt that was given, and what was made of it. */
static void receipts(char *receipt)
{
    char *erasure = (char *)"left over";
    char *number;

    expect("a receipt", chorus_verify_receipt(receipt, &erasure), CHORUS_OK);
    if (strstr(erasure, "\"unread\":true") == NULL) {
        printf("it does not say what the receipt says: %s\n", erasure);
        failures++;
    }
    expect("freeing", chorus_text_free(erasure), CHORUS_OK);
    number = strstr(receipt, "\\\"at\\\":") + strlen("\\\"at\\\":");
    *number = *number == '1' ? '2' : '1';
    expect("a changed receipt", chorus_verify_receipt(receipt, &erasure), CHORUS_FORGED);
    untouched("a changed receipt", erasure);
    expect("a letter", chorus_verify_receipt("Dear Sir", &erasure), CHORUS_MISUSE);
    expect("no receipt", chorus_verify_receipt(NULL, &erasure), CHORUS_MISUSE);
    expect("no place", chorus_verify_receipt(receipt, NULL), CHORUS_MISUSE);
}

int main(int argc, char **argv)
{
    ChorusClient client = 7;
    char *text = (char *)"left over";
    const char *not_text = "\xff\xfe";

    if (argc != 2) {
        return 2;
    }
    if (chorus_abi_version() != CHORUS_ABI_VERSION) {
        printf("the header is not of this library\n");
        failures++;
    }

    /* Null where something must be. */
    expect("no home", chorus_open(NULL, NULL, NULL, &client), CHORUS_MISUSE);
    if (client != 0) {
        printf("a failed open gave a client\n");
        failures++;
    }
    expect("no place", chorus_open(argv[1], NULL, NULL, NULL), CHORUS_MISUSE);
    expect("no event", chorus_record(client, NULL), CHORUS_MISUSE);
    expect("no place for a list", chorus_rank(client, "{}", NULL), CHORUS_MISUSE);
    expect("no certificate", chorus_enrol(client, "localhost:1", NULL, 5, "x", &text), CHORUS_MISUSE);
    untouched("no certificate", text);
    expect("freeing nothing", chorus_text_free(NULL), CHORUS_OK);

    /* Text that is none, and JSON that is none or says too much. */
    expect("not UTF-8", chorus_open(not_text, NULL, NULL, &client), CHORUS_MISUSE);
    expect("no settings", chorus_open(argv[1], NULL, "{\"colour\": 1}", &client), CHORUS_MISUSE);
    expect("a number that is none", chorus_record(client, "{\"item\": -1, \"at\": 1}"), CHORUS_MISUSE);
    expect("an unknown key", chorus_record(client, "{\"item\": 1, \"at\": 1, \"itme\": 1}"), CHORUS_MISUSE);

    /* A folder that cannot be. */
    expect("a file as a folder", chorus_open("/dev/null/here", NULL, NULL, &client), CHORUS_STORE);

    /* A client that never was, that is closed, and that is closed again. */
    expect("nobody", chorus_record(0, "{\"item\": 1, \"at\": 1}"), CHORUS_CLOSED);
    key_stores(argv[1]);
    expect("opening", chorus_open(argv[1], NULL, NULL, &client), CHORUS_OK);
    catalogue_choices_signals(client);
    corrections_and_screens(client, argv[1]);
    expect("a budget that is none", chorus_contribute(client, "{\"coordinator\": \"localhost:1\", \"task\": \"films\","
           " \"max_bytes\": -1}", &text), CHORUS_MISUSE);
    expect("no model", chorus_rank(client, "{\"task\": \"films\", \"length\": 3}", &text), CHORUS_NO_MODEL);
    untouched("no model", text);
    expect("no grant", chorus_record(client, "{\"item\": 1, \"at\": 1}"), CHORUS_NOT_GRANTED);
    expect("not shown", chorus_decide(client, "{\"answer\": \"yes\", \"purposes\": [\"contribute-training\"],"
           " \"language\": \"en\", \"notice\": \"" ZEROS "\"}", &text), CHORUS_NOTICE);
    expect("no purpose", chorus_withdraw(client, "world peace", &text), CHORUS_MISUSE);
    untouched("no purpose", text);
    expect("withdrawing everything", chorus_withdraw(client, NULL, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("contributing", chorus_contribute(client, "{\"coordinator\": \"localhost:1\", \"task\": \"films\"}", &text),
           CHORUS_NOT_GRANTED);
    expect("no form", chorus_export(client, "docx", &text), CHORUS_MISUSE);
    untouched("no form", text);
    expect("not a task", chorus_rank(client, "{\"task\": \"no spaces\", \"length\": 3}", &text), CHORUS_MISUSE);
    expect("status", chorus_status(client, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("freeing twice", chorus_text_free(text), CHORUS_MISUSE);
    expect("freeing what is not the library's", chorus_text_free((char *)"mine"), CHORUS_MISUSE);
    expect("nothing to stop", chorus_stop(client), CHORUS_OK);
    expect("erasing", chorus_erase(client, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("after erasing", chorus_status(client, &text), CHORUS_CLOSED);
    expect("erasing again", chorus_erase(client, &text), CHORUS_CLOSED);
    expect("closing", chorus_close(client), CHORUS_OK);
    expect("after closing", chorus_status(client, &text), CHORUS_CLOSED);
    untouched("after closing", text);
    expect("closing again", chorus_close(client), CHORUS_CLOSED);
    expect("items after closing", chorus_catalogue(client, "[]"), CHORUS_CLOSED);
    expect("choosing after closing", chorus_choose(client, "{\"what\": {\"item\": 1}, \"choice\": \"mute\"}"), CHORUS_CLOSED);
    expect("a signal after closing", chorus_signal(client, "{\"kind\": \"gpc\", \"on\": true}"), CHORUS_CLOSED);

    /* A folder whose passphrase is forgotten. */
    expect("opening with a passphrase", chorus_open(argv[1], "forgotten", NULL, &client), CHORUS_OK);
    expect("closing", chorus_close(client), CHORUS_OK);
    expect("another passphrase", chorus_open(argv[1], "something else", NULL, &client), CHORUS_STORE);
    expect("erasing without opening", chorus_erase_folder(argv[1], NULL, &text), CHORUS_OK);
    if (strstr(text, "\\\"unread\\\":true") == NULL) {
        printf("the receipt claims to know what went: %s\n", text);
        failures++;
    }
    receipts(text);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("a new one", chorus_open(argv[1], "something else", NULL, &client), CHORUS_OK);
    expect("closing the new one", chorus_close(client), CHORUS_OK);

    return failures == 0 ? 0 : 1;
}
