/*
 * Chorus, the client: recommendations that know people, without anyone knowing them.
 *
 * Made from crates/ffi/src; change it there. The README of that crate says how it is used.
 *
 * Every call gives one of the codes below, and chorus_last_error() says more. Text is UTF-8 and ends with a zero; what
 * has structure is JSON. A text that a call gives is freed with chorus_text_free(). Every call may come from any thread.
 */

#ifndef CHORUS_H
#define CHORUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// The version of what this header says. A higher one may have more calls and codes; a call that is there stays as it is.
#define CHORUS_ABI_VERSION 2

// All is well.
#define CHORUS_OK 0

// Correct the call: an argument is missing, is no UTF-8, or is not the JSON that it should be.
#define CHORUS_MISUSE 1

// A fault of this library, caught before it could cross. Close the client and open it again, and report the fault.
#define CHORUS_FAULT 2

// See to the folder, the disk, or the key.
#define CHORUS_STORE 3

// Enrol first.
#define CHORUS_NOT_ENROLLED 4

// Ask the enrolment authority for a new invitation, and enrol with it.
#define CHORUS_ENROL_AGAIN 5

// Use another folder: this one belongs to another federation, or its consent ledger does not hold together.
#define CHORUS_OTHER_FOLDER 6

// Do not go on with this server: it is not the one that it should be, or it showed two histories of its models.
#define CHORUS_DISTRUST 7

// Try again later.
#define CHORUS_LATER 8

// Update the older side: the other one does not speak the same protocol.
#define CHORUS_UPDATE 9

// There is no model yet: contribute first, or hand in a catalogue.
#define CHORUS_NO_MODEL 10

// The model is of no use here; the one before stays. Wait for another one.
#define CHORUS_MODEL 11

// Ask the person: it was not granted, or was withdrawn.
#define CHORUS_NOT_GRANTED 12

// Wait for the contribution that is under way, or stop it.
#define CHORUS_BUSY 13

// The client is closed, or was erased: open one.
#define CHORUS_CLOSED 14

// Show the person the current notice, and ask again.
#define CHORUS_NOTICE 15

// Do not rely on the receipt: its signature does not fit what it says.
#define CHORUS_FORGED 16

// What a callback of a key store gives when it did what it was asked.
#define CHORUS_KEY_DONE 0

// What `load` gives when there is no key. Only where there surely is none: what is sealed under one that was not found would be
// lost. Everything else a callback gives means that it failed, and is said in the sentence of the call.
#define CHORUS_KEY_NONE 1

// A client that is open. It is a number and no address: 0 is none, and a number that was closed is never given again.
typedef uint64_t ChorusClient;

// A key store of the system, such as that of a phone: where the app keeps the 32 bytes that everything is sealed under. All three
// callbacks must be there. They may be called in every call with the client, on the thread that makes it, until its number is
// closed and the last call with it ended; so long `context` must be valid, and fit for every thread that calls. They must come
// back: no exception, and no jump. Calls of this library must not be made in them.
typedef struct ChorusKeyStore {
  // Handed to every callback. May be null.
  void *context;
  // Writes the key to `key`, 32 bytes.
  int32_t (*load)(void *context, uint8_t *key);
  // Keeps the 32 bytes at `key` in the place of the key before, at once or not at all; they are durable when it returns.
  int32_t (*replace)(void *context, const uint8_t *key);
  // Forgets the key for good. None to forget is no error.
  int32_t (*destroy)(void *context);
} ChorusKeyStore;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of this library. Compare it with `CHORUS_ABI_VERSION` of the header: a lower one lacks calls.
int32_t chorus_abi_version(void);

// What went wrong in the last call of this thread, as a sentence; empty after a call that went well. Valid until this
// thread's next call; not to be freed.
const char *chorus_last_error(void);

// Frees a text that a call gave. Null is no error. What no call gave, or what was freed before, is a misuse and left alone, as far
// as that can be known: another call may have been given the same place since.
//
// # Safety
// Nobody uses the text any more.
int32_t chorus_text_free(char *text);

// Opens the client that lives in the folder `home`, or makes a new one there. Nothing is sent, and no thread is started.
//
// `passphrase`: locks the key of the store; null keeps the key in a file beside it, which protects it from nobody who can
// copy the folder. `settings`: JSON of the library's settings, such as `{"durability": "power-loss"}`; null for the
// careful choice in everything.
//
// Codes: `CHORUS_STORE` for a folder that cannot be used, a damaged store and a wrong passphrase.
//
// # Safety
// The texts end with a zero or are null; `client` is a place for one number.
int32_t chorus_open(const char *home,
                    const char *passphrase,
                    const char *settings,
                    ChorusClient *client);

// As `chorus_open`, with the key in a key store of the app's choice.
//
// Codes: as there; `CHORUS_STORE` also for a key store that fails.
//
// # Safety
// As there; `keys` shows a key store, which is copied, and what it says of its callbacks holds.
int32_t chorus_open_with(const char *home,
                         const struct ChorusKeyStore *keys,
                         const char *settings,
                         ChorusClient *client);

// Closes a client. Calls with it that are under way in other threads end as they would, a contribution at its next step;
// its number is of no use any more.
int32_t chorus_close(ChorusClient client);

// Exchanges an invitation for a certificate: once, and again when the certificate ran out. Blocks for the network.
//
// `authority`: `host:port`. `certificate`: the PEM file that came with the invitation, `length` bytes. `status`: as in
// `chorus_status`, `enrolment`.
//
// Codes: `CHORUS_NOT_GRANTED`, `CHORUS_ENROL_AGAIN` for an invitation of no use, `CHORUS_OTHER_FOLDER`,
// `CHORUS_DISTRUST`, `CHORUS_LATER`.
//
// # Safety
// The texts end with a zero; `certificate` shows `length` bytes; `status` is a place for one pointer, to be freed with
// `chorus_text_free`.
int32_t chorus_enrol(ChorusClient client,
                     const char *authority,
                     const uint8_t *certificate,
                     size_t length,
                     const char *invitation,
                     char **status);

// Writes down what the person did with an item, durably.
//
// `event`: `{"item": 17, "kind": "purchase", "at": 1800000000}`; `at`: seconds since 1970 UTC; `kind`: `view`, `click`, `pause`,
// `purchase`, `rating` with a `value` from 1 to 5, `survey` with a `value` from -1 to 1, or `dismiss`; left out, `click`. The
// same event again changes nothing.
//
// Codes: `CHORUS_NOT_GRANTED`: nothing was kept; `CHORUS_MISUSE` for an event that makes no sense.
//
// # Safety
// `event` is text that ends with a zero.
int32_t chorus_record(ChorusClient client,
                      const char *event);

// What the client can say about itself: enrolment, history, rounds, privacy spent. For the person's screen.
//
// # Safety
// `status` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_status(ChorusClient client,
                      char **status);

// Says what the app knows of its items, in the place of what it said before. Held in memory until the client is closed: an app says
// it after each opening, before it records or asks for a list. Without it no item is sensitive, none has a topic, and nothing is shown
// to somebody who muted a topic.
//
// `items`: `[{"item": 17, "title": "Two Lakes", "topics": ["travel"], "sensitive": "health", "price": {"amount": 499, "currency":
// "EUR"}, "regions": ["DE"], "from_age": "16-17"}, ...]`; all but `item` may be left out. `sensitive`: a category of the notice,
// what follows `sensitive:` in its name; `amount`: cents, pence, yen. Their order, best sellers first, is that of a list before there
// is a model.
//
// # Safety
// `items` is text that ends with a zero.
int32_t chorus_catalogue(ChorusClient client,
                         const char *items);

// What the person is to read before they decide. Show it, and hand its digest in with the decision.
//
// `language`: such as `de`; English where there is nothing in it.
// `notice`: `{"digest": "...", "language": "en", "version": 1, "sections": {"contribute-training": {"title": ...}}}`.
//
// # Safety
// `language` is text that ends with a zero; `notice` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_notice(ChorusClient client,
                      const char *language,
                      char **notice);

// Every purpose as it stands, for the person's switches: `[{"purpose": "contribute-training", "state": "granted", "since": 1800000000,
// "changes": [], "signals": [], "may_ask": false}, ...]`. `may_ask`: whether the app may ask for it now; after a no, and after a
// question that was left open (`chorus_asked`), it may not for a while. It waits for no other call of this client.
//
// # Safety
// `consents` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_consents(ChorusClient client,
                        char **consents);

// Remembers that the app asked for a purpose and got no answer. An answer needs no such note.
//
// `purpose`: its name, such as `contribute-training`.
//
// # Safety
// `purpose` is text that ends with a zero.
int32_t chorus_asked(ChorusClient client, const char *purpose);

// Takes a decision of the person: yes and no are the same call. It waits for no other call of this client, from no thread.
//
// `decision`: `{"answer": "yes", "purposes": ["contribute-training", "local-personalisation"], "language": "en",
// "notice": "digest of what was shown"}`. `receipt`: JSON-LD, the person's to keep.
//
// Codes: `CHORUS_NOTICE` for a yes to anything but the current notice.
//
// # Safety
// `decision` is text that ends with a zero; `receipt` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_decide(ChorusClient client,
                      const char *decision,
                      char **receipt);

// Withdraws one purpose, or with null all of them. When this returns, no byte is handed to the operating system for it any
// more, whatever other threads are at; a contribution that is under way ends with `CHORUS_NOT_GRANTED`.
//
// `purpose`: its name, such as `contribute-training`. `receipt`: as in `chorus_decide`.
//
// # Safety
// `purpose` is null or text that ends with a zero; `receipt` is a place for one pointer, to be freed with
// `chorus_text_free`.
int32_t chorus_withdraw(ChorusClient client,
                        const char *purpose,
                        char **receipt);

// Takes what a browser, the system or a consent dialogue says for the person. It can only deny, what it denies ends at once as in
// `chorus_withdraw`, and one that cannot be read denies all that its kind can speak of. Saying the same again changes nothing.
//
// `signal`: `{"kind": "gpc", "on": true}` (Global Privacy Control), `{"kind": "limit-ad-tracking", "on": true}`, `{"kind": "tcf",
// "applies": true, "string": "..."}` or `{"kind": "gpp", "sections": [7], "string": "..."}`.
//
// # Safety
// `signal` is text that ends with a zero.
int32_t chorus_signal(ChorusClient client,
                      const char *signal);

// The signals so far and what became of each, for the person's screen: `[{"signal": {...}, "denied": ["third-party-share"], ...}]`.
//
// # Safety
// `signals` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_signals(ChorusClient client,
                       char **signals);

// Takes part in the rounds of a task until it is finished, its budget is spent, or `chorus_stop` is called. Blocks this thread,
// which does all the work; other calls with the same client go on meanwhile, from other threads. The app may end at any
// moment: the next contribution takes up the round.
//
// `work`: `{"coordinator": "host:port", "task": "films"}`; besides, where this time's budget is not that of the settings,
// `"max_ms": 600000`, `"max_bytes": 2000000` that are sent (the message that passes it is the last one), and `"max_threads": 2` that
// an engine may learn with; this library's own learns with the thread that calls, whatever it may.
// `report`: `{"end": "finished" | "spent" | "stopped", "rounds": 3, "later": null}`.
//
// What passes (no network, a refusal) is waited out. Codes: `CHORUS_NOT_GRANTED`, `CHORUS_NOT_ENROLLED`,
// `CHORUS_ENROL_AGAIN`, `CHORUS_DISTRUST`, `CHORUS_STORE`, `CHORUS_BUSY` where this client contributes already.
//
// # Safety
// `work` is text that ends with a zero; `report` is a place for one pointer. The report is to be freed with
// `chorus_text_free`.
int32_t chorus_contribute(ChorusClient client,
                          const char *work,
                          char **report);

// Ends the contribution that is under way with this client, from any thread. Nothing is lost by it.
int32_t chorus_stop(ChorusClient client);

// Keeps a choice of the person, in the place of what was chosen about the same before. It holds from the next list on.
//
// `control`: `{"what": {"topic": "horror"}, "choice": "mute"}`; `what`: `{"item": 17}`, `{"topic": "..."}` as the catalogue names
// it, or `{"group": "..."}`; `choice`: `mute` (as if it did not exist), `not-interested`, `pin`, `hide` (not while somebody else may be
// looking), and for groups `in` and `out`.
//
// Codes: `CHORUS_NOT_GRANTED`: nothing was kept; `CHORUS_MISUSE` for a topic that no item of the catalogue has, with the nearest.
//
// # Safety
// `control` is text that ends with a zero.
int32_t chorus_choose(ChorusClient client,
                      const char *control);

// Takes a choice back. None to take back is no error.
//
// `what`: as in `chorus_choose`.
//
// # Safety
// `what` is text that ends with a zero.
int32_t chorus_unchoose(ChorusClient client, const char *what);

// Every choice that holds, for the person's screen: `[{"what": {"topic": "horror"}, "choice": "mute"}, ...]`.
//
// # Safety
// `choices` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_choices(ChorusClient client,
                       char **choices);

// Makes of one event another kind, or gives it another value: everything is then as if it had been recorded so.
//
// `correction`: `{"event": {"item": 17, "kind": "rating", "at": 1800000000}, "kind": "rating", "value": 4}`; `event` says which, by
// item, kind, time and source. `outcome`: `"done"`; `"unknown"` where there is no such event; `"folded"` where it is part of the
// summary of its item by now, which can only be removed as a whole.
//
// Codes: `CHORUS_MISUSE` for a value that makes no sense; then nothing changed.
//
// # Safety
// `correction` is text that ends with a zero; `outcome` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_correct(ChorusClient client,
                       const char *correction,
                       char **outcome);

// Removes an item with everything that was done with it, or one event: everything is then as if it had never been recorded.
//
// `what`: `{"item": 17}` or `{"event": {"item": 17, "kind": "click", "at": 1800000000}}`. `outcome`: as in `chorus_correct`.
//
// # Safety
// `what` is text that ends with a zero; `outcome` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_remove(ChorusClient client,
                      const char *what,
                      char **outcome);

// A list for the person's screen, best first, by the newest model that is here. Works without a network. Before the first model came
// it is the same for everybody: the candidates in their order, or else the items of the catalogue in theirs.
//
// `ask`: `{"task": "films", "length": 10}`; besides, `"candidates": [4, 8, 15]` to choose from these alone, `"popular": true`
// for a list that nothing of the person is in, `"discreet": true` where somebody else may be looking.
// `list`: `{"places": [{"item": 4, "score": 0.91, "explored": false}, ...], "profiled": true, "diversity": 0.4}`.
//
// Codes: `CHORUS_NO_MODEL` before the first contribution, where there are no candidates and no catalogue either; `CHORUS_MODEL`.
//
// # Safety
// `ask` is text that ends with a zero; `list` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_rank(ChorusClient client,
                    const char *ask,
                    char **list);

// Why an item has its place: what of the person's own history speaks for it, the strongest first, as parts of its score.
//
// `why`: `{"task": "films", "item": 4, "most": 3}`, and `"discreet": true` as in `chorus_rank`.
// `reasons`: `[{"item": 17, "adds": 0.3}, ...]`.
//
// Codes: as `chorus_rank`.
//
// # Safety
// `why` is text that ends with a zero; `reasons` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_explain(ChorusClient client,
                       const char *why,
                       char **reasons);

// The same list with and without one item of the person's history: what it would be had they never touched it. Nothing is kept.
//
// `ask`: as in `chorus_rank`. `item`: which. `lists`: `{"with": [{"item": 4, "score": 0.91, ...}, ...], "without": [...]}`.
//
// Codes: as `chorus_rank`.
//
// # Safety
// `ask` is text that ends with a zero; `lists` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_what_if(ChorusClient client,
                       const char *ask,
                       uint32_t item,
                       char **lists);

// What decides this person's lists: each thing with what it does, what it is now, and how to change it. For a page that everybody
// can read (Digital Services Act, article 27).
//
// `language`: `en` or `de`. `parameters`: `[{"name": "order", "title": "...", "does": "...", "change": "...", "value": "..."}, ...]`.
//
// # Safety
// `language` is text that ends with a zero; `parameters` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_parameters(ChorusClient client,
                          const char *language,
                          char **parameters);

// Everything that is kept, for the person to take along; what is withheld (keys) is named in it.
//
// `form`: `json`, `csv`, or `html` (English) or `html-de` (German) for a page to read. `export`: text in that form.
//
// # Safety
// `form` is text that ends with a zero; `export` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_export(ChorusClient client,
                      const char *form,
                      char **export_);

// Everything that left this device, the oldest first: `[{"at": 1800000000, "bytes": 5120, "messages": 1, "purpose":
// "contribute-training", "round": 3, "what": "contribution", "epsilon": 1.4}, ...]`; `bytes`: as a packet capture shows them;
// `epsilon`: privacy spent on the task by then, left out where nothing bounds it.
//
// # Safety
// `activity` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_activity(ChorusClient client,
                        char **activity);

// Begins a private session, or ends it with 0: nothing of what is done or shown meanwhile is kept, and `chorus_record` says
// `CHORUS_OK` all the same. It ends with the client.
int32_t chorus_private(ChorusClient client,
                       int32_t is_private);

// Erases everything in the client's folder: the key first, which makes the rest unreadable at once, then every file. Works
// without a network. The client is of no use after that, but to be closed.
//
// `receipt`: signed, says what went and what cannot go: `{"statement": "{...}", "key": "...", "signature": "..."}`.
//
// Codes: `CHORUS_STORE` where something is left; call it again, or open the folder, which finishes it.
//
// # Safety
// `receipt` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_erase(ChorusClient client,
                     char **receipt);

// Erases everything that a client has in the folder `home` without opening it: for a forgotten passphrase, a lost key, a damaged
// store. The key first. Nothing there is no error.
//
// `keys`: where the key is, if that is a key store of the app's; null for a key or passphrase in the folder. `receipt`: as in
// `chorus_erase`; it cannot say what went, and says so.
//
// Codes: `CHORUS_STORE` where something is left; call it again.
//
// # Safety
// `home` is text that ends with a zero; `keys` is null or as in `chorus_open_with`; `receipt` is a place for one pointer, to be
// freed with `chorus_text_free`.
int32_t chorus_erase_folder(const char *home,
                            const struct ChorusKeyStore *keys,
                            char **receipt);

// Checks the receipt of an erasure by its signature. Needs no client, no folder and no network.
//
// `receipt`: as `chorus_erase` gave it. `erasure`: what it says: `{"at": 1800000000, "unread": false, "gone": {"item": 5}, "left": [],
// "remaining": [{"task": "films", "round": 3, ...}], "epsilon": 1.4, "delta": 0.00001}`; `unread`: the store did not open, so nobody can
// say what went; `left`: files that no client wrote, and that are still there; `remaining`: contributions in sums that others have, which
// together tell at most `epsilon`, null where nothing bounds it.
//
// Codes: `CHORUS_FORGED` where the signature does not fit; `CHORUS_MISUSE` for what is no such receipt.
//
// # Safety
// `receipt` is text that ends with a zero; `erasure` is a place for one pointer, to be freed with `chorus_text_free`.
int32_t chorus_verify_receipt(const char *receipt,
                              char **erasure);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CHORUS_H */
