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
    expect("opening", chorus_open(argv[1], NULL, NULL, &client), CHORUS_OK);
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
    expect("nothing to stop", chorus_stop(client), CHORUS_OK);
    expect("erasing", chorus_erase(client, &text), CHORUS_OK);
    expect("freeing", chorus_text_free(text), CHORUS_OK);
    expect("after erasing", chorus_status(client, &text), CHORUS_CLOSED);
    expect("erasing again", chorus_erase(client, &text), CHORUS_CLOSED);
    expect("closing", chorus_close(client), CHORUS_OK);
    expect("after closing", chorus_status(client, &text), CHORUS_CLOSED);
    untouched("after closing", text);
    expect("closing again", chorus_close(client), CHORUS_CLOSED);

    return failures == 0 ? 0 : 1;
}
