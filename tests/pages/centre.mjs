// A person in front of the privacy centre, in a real browser.
//
// node centre.mjs ADDRESS PICTURES CHROMIUM OTHER FOLDER: does what a person does, step by step, and stops at the first thing that
// is not as it should be. PICTURES is a folder for screenshots, to be looked at. OTHER is the address of the centre of another
// client, which is in FOLDER: somebody who reads German, and whose erasing does not work at once.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [address, pictures, executablePath, otherAddress, otherFolder] = process.argv.slice(2);
const { origin } = new URL(address);
const home = address.slice(0, address.indexOf('enter'));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['', 'choices', 'taste', 'sharing', 'data'];

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const context = await browser.newContext({ locale: 'en-GB', acceptDownloads: true });
const page = await context.newPage();
const asked = [];
page.on('request', (request) => asked.push(request.url()));
page.setDefaultTimeout(5_000);
process.on('uncaughtException', async (fault) => {
  console.log(fault.message ?? fault, `\nat ${page.url()}; failed.png shows the page`);
  await page.screenshot({ path: join(pictures, 'failed.png'), fullPage: true });
  process.exit(1);
});
const step = (name) => console.log(`- ${name}`);

const picture = (name, look) =>
  page.evaluate(() => scrollTo(0, 0)).then(() =>
    page.screenshot({ path: join(pictures, `${name || 'overview'}-${look}.png`), fullPage: true }));
const LOOKS = [
  { name: 'light', colorScheme: 'light', width: 1200 },
  { name: 'dark', colorScheme: 'dark', width: 1200 },
  { name: 'phone', colorScheme: 'light', width: 360 },
];
// No wider than its window, and nothing that axe finds.
const whole = async (of, name) => {
  const wider = await of.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wider <= 0, `${name} is ${wider} px too wide`);
  await of.evaluate(axe);
  const faults = await of.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
  const said = faults.violations.map((fault) => `${fault.id}: ${fault.nodes.map((node) => node.html).slice(0, 2)}`);
  assert.deepEqual(said, [], name);
};
const button = (name) => page.getByRole('button', { name });
const heading = () => page.locator('h1').innerText();
const row = (purpose) => page.locator('li', { has: page.locator(`[id="${purpose}"]`) }).last();
const state = async (purpose) => row(purpose).locator('.state').innerText();

step('the address opens once');
await page.goto(address);
assert.equal(page.url(), home);
const stranger = await browser.newContext();
const barred = await (await stranger.newPage()).goto(address);
assert.equal(barred.status(), 403);
const bare = await (await stranger.newPage()).goto(`${home}data`);
assert.equal(bare.status(), 403);
await stranger.close();

step('another server on this machine learns nothing');
const heard = [];
const other = createServer((request, response) => {
  heard.push(`${request.url} ${JSON.stringify(request.headers)}`);
  // It looks for the centre, in every way that a page has.
  response.setHeader('content-type', 'text/html');
  response.end(`<img src="${origin}/"><iframe src="${origin}/data"></iframe>
    <form action="${origin}/erase" method="post"><button>Go</button></form>`);
});
await new Promise((listening) => other.listen(0, '127.0.0.1', listening));
const elsewhere = `http://127.0.0.1:${other.address().port}/`;
const lured = await context.newPage();
const found = [];
lured.on('response', (response) => {
  if (response.url().startsWith(origin) && !response.url().startsWith(home)) found.push(response.status());
});
await lured.goto(home);
await lured.evaluate((url) => { location.href = url; }, elsewhere);
await lured.waitForURL(elsewhere);
await lured.waitForLoadState('load');
assert.equal(await lured.evaluate(() => document.cookie + document.referrer), '');
await Promise.all([lured.waitForResponse(`${origin}/erase`), lured.getByRole('button', { name: 'Go' }).click()]);
await lured.close();
assert.ok(heard.length > 0 && found.length >= 3, `${heard.length} ${found.length}`);
assert.deepEqual(new Set(found), new Set([404]));
const folder = new URL(home).pathname.slice(1, -1);
for (const line of heard) assert.ok(!line.includes(folder) && !line.includes(origin) && !/"cookie"/i.test(line), line);
const cookies = await context.cookies();
assert.ok(cookies.length > 0 && cookies.every((cookie) => cookie.path === `/${folder}/`), 'cookies of the pages alone');
other.close();
other.closeAllConnections();

step('every page is whole, in light, dark and on a phone');
for (const look of LOOKS) {
  await page.emulateMedia({ colorScheme: look.colorScheme });
  await page.setViewportSize({ width: look.width, height: 900 });
  for (const path of PAGES) {
    await page.goto(home + path);
    assert.equal(await page.locator('h1').count(), 1, `${path} has one h1`);
    assert.equal(await page.locator('script').count(), 0, `${path} has no script`);
    await whole(page, `${path}, ${look.name}`);
    await picture(path, look.name);
  }
}
await page.setViewportSize({ width: 1200, height: 900 });
await page.emulateMedia({ colorScheme: 'light' });

step('what nothing uses is not offered');
await page.goto(`${home}choices`);
for (const purpose of ['channel-slate', 'cross-device-sync', 'third-party-share']) {
  assert.equal(await page.locator(`[id="${purpose}"]`).count(), 0, purpose);
}
assert.equal(await page.locator('.levels button').count(), 4);

step('in and out cost the same number of steps');
// From the first page: each step is a click.
const steps = async (name) => {
  let count = 0;
  await page.goto(home);
  const click = async (target) => { await target.click(); count += 1; };
  await click(page.getByRole('navigation').getByRole('link', { name: 'Choices' }));
  await click(row('aggregate-statistics').getByRole('button', { name }));
  return count;
};
const into = await steps('Turn on');
assert.equal(await state('aggregate-statistics'), 'On');
const out = await steps('Turn off');
assert.match(await state('aggregate-statistics'), /^Off/);
assert.equal(into, out);

step('the keyboard is enough');
await page.goto(`${home}choices`);
await page.keyboard.press('Tab');
assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
const press = async (purpose) => {
  for (let tabs = 0; tabs < 200; tabs += 1) {
    const here = await page.evaluate(() => document.activeElement.getAttribute('aria-describedby'));
    if (here === purpose) return Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    await page.keyboard.press('Tab');
  }
  assert.fail(`no way to ${purpose} with the keyboard`);
};
await press('personalised-offers');
assert.equal(await state('personalised-offers'), 'On');
await press('personalised-offers');
assert.match(await state('personalised-offers'), /^Off/);

step('a level sets the switches');
await page.goto(`${home}choices`);
await page.locator('.levels button').nth(2).click();
assert.equal(await state('local-personalisation'), 'On');
assert.match(await state('contribute-training'), /^Off/);

step('a choice has a receipt');
const [receipt] = await Promise.all([
  page.waitForEvent('download'),
  page.getByRole('link', { name: /Download/ }).first().click(),
]);
const record = JSON.parse(readFileSync(await receipt.path(), 'utf8'));
assert.ok(record['@context'], 'a receipt is JSON-LD');

step('other languages');
await page.getByRole('link', { name: 'Deutsch' }).click();
assert.equal(await page.locator('html').getAttribute('lang'), 'de');
assert.equal(await heading(), 'Du wählst');
for (const path of PAGES) {
  await page.goto(home + path);
  const text = await page.locator('body').innerText();
  assert.doesNotMatch(text, /\b(Turn|the|your|with)\b/, `${path} has English words in German`);
  await picture(path, 'german');
}
await page.getByRole('link', { name: 'English' }).click();

step('an event is corrected and removed, and then an item');
await page.goto(`${home}data`);
const items = () => page.locator('tbody tr').count();
const before = await items();
assert.ok(before > 1, 'there is a history');
const rowOf = (did) => page.locator('tbody tr', { has: page.getByRole('cell', { name: did, exact: true }) });
const choose = async (title, option) => {
  const of = page.locator('tbody tr', { has: page.getByRole('rowheader', { name: title, exact: true }) });
  await of.locator('summary').click();
  await of.locator('select').selectOption({ label: option });
  await of.getByRole('button', { name: /^Save/ }).click();
  await of.locator('summary').click();
  return of.locator('select').evaluate((select) => select.selectedOptions[0].label);
};
const opened = page.locator('tbody tr').first();
assert.equal(await choose(await opened.locator('th').innerText(), 'Bought'), 'Bought');
// What a person thinks of an item is theirs to change as well.
for (const [did, now, then] of [['Rated', 'Rated 4 of 5', 'Rated 2 of 5'], ['Answered', 'Answered: rather yes', 'Answered: no']]) {
  const title = await rowOf(did).locator('th').innerText();
  await rowOf(did).locator('summary').click();
  assert.equal(await rowOf(did).locator('select').evaluate((select) => select.selectedOptions[0].label), now);
  await page.goto(`${home}data`);
  assert.equal(await choose(title, then), then);
}
await whole(page, 'an open event');
await picture('data', 'open');
await page.setViewportSize({ width: 360, height: 900 });
await whole(page, 'an open event on a phone');
await picture('data', 'open-phone');
await page.setViewportSize({ width: 1200, height: 900 });
// What is only a summary by now goes as a whole.
const old = page.locator('tbody tr', { has: page.getByRole('rowheader', { name: 'The Baker of Cork', exact: true }) });
assert.equal(await old.locator('summary').count(), 0);
assert.match(await old.innerText(), /Only the day is left/);
assert.equal(await old.getByRole('button', { name: /^Remove the item/ }).count(), 1);
// One event of two goes, and the item stays.
const twice = rowOf('Opened, Bought');
const name = await twice.locator('th').innerText();
await twice.locator('summary').click();
assert.equal(await twice.locator('select').count(), 2);
await twice.getByRole('button', { name: /^Remove this/ }).first().click();
const once = page.locator('tbody tr', { has: page.getByRole('rowheader', { name, exact: true }) });
await once.locator('summary').click();
assert.equal(await once.locator('select').count(), 1);
assert.equal(await items(), before);
await button(/^Remove the item/).first().click();
assert.equal(await items(), before - 1);

step('the keyboard corrects and removes as well');
await page.goto(`${home}data`);
const tabTo = async (what, is) => {
  for (let tabs = 0; tabs < 200; tabs += 1) {
    if (await page.evaluate(is)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`no way to ${what} with the keyboard`);
};
const enter = () => Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
await tabTo('an item', () => document.activeElement.tagName === 'SUMMARY');
await page.keyboard.press('Enter');
await tabTo('an event', () => document.activeElement.tagName === 'SELECT');
await page.keyboard.press('Home');
await tabTo('its button', () => document.activeElement.textContent === 'Save');
await enter();
assert.ok((await page.locator('tbody tr').first().innerText()).includes('Viewed'));
await tabTo('an item', () => document.activeElement.tagName === 'SUMMARY');
await page.keyboard.press('Enter');
await tabTo('its button', () => document.activeElement.textContent === 'Remove this');
await enter();
assert.equal(await items(), before - 2);

step('reasons, what-if and mute');
await page.goto(`${home}taste`);
const first = page.locator('.list').first().locator('li').first();
const title = await first.locator('strong').innerText();
await first.getByRole('link', { name: /Why this/ }).click();
assert.match(await heading(), new RegExp(title.replace(/[^\w ]/g, '.')));
await page.screenshot({ path: join(pictures, 'why.png'), fullPage: true });
await page.getByRole('link', { name: /What if not/ }).first().click();
await page.screenshot({ path: join(pictures, 'what-if.png'), fullPage: true });
await page.goto(`${home}taste`);
await first.getByRole('button', { name: /Not interested/ }).click();
const titles = await page.locator('.list').first().locator('strong').allInnerTexts();
assert.ok(!titles.includes(title), `${title} is muted`);
await page.screenshot({ path: join(pictures, 'taste-muted.png'), fullPage: true });
await button(`Unmute: ${title}`).click();

step('everything can be taken along');
await page.goto(`${home}data`);
for (const name of ['Download as JSON', 'Download as a table', 'Download to read']) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()]);
  assert.ok(readFileSync(await file.path(), 'utf8').length > 100, name);
}

step('a form of another page is refused');
const forged = await context.request.post(`${home}decide`, {
  form: { purpose: 'contribute-training', granted: 'true', proof: '00' },
});
assert.equal(forged.status(), 400);
const foreign = await context.request.post(`${home}decide`, {
  form: { purpose: 'contribute-training', granted: 'true', proof: '00' },
  headers: { origin: 'http://elsewhere.example' },
});
assert.equal(foreign.status(), 403);

step('everything is erased');
await page.goto(`${home}data`);
await page.getByLabel('I want to erase all of it').check();
await button('Erase everything').click();
assert.equal(await heading(), 'All of it is gone');
// The centre closes with this page, so it has to stand by itself.
assert.equal(await page.locator('main').evaluate((main) => getComputedStyle(main).maxWidth), '960px');
const ended = await page.locator('body').innerText();
for (const words of ['What is gone', 'The key that all of it was locked with', 'What cannot be taken back', 'You have used']) {
  assert.ok(ended.includes(words), words);
}
await page.getByText('Show it').click();
const shown = JSON.parse(await page.locator('pre').innerText());
const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save the receipt' }).click()]);
assert.deepEqual(JSON.parse(readFileSync(await saved.path(), 'utf8')), shown);
assert.ok(JSON.parse(shown.statement).gone && shown.signature.length === 128);
for (const width of [360, 1200]) {
  await page.setViewportSize({ width, height: 900 });
  await whole(page, `the last page, ${width} px`);
}
await page.screenshot({ path: join(pictures, 'erased.png'), fullPage: true });

step('no other computer was asked for anything');
assert.deepEqual(asked.filter((url) => !url.startsWith(home)), []);
step('what is not erased to the end says so, and is erased again');
const german = await browser.newContext({ locale: 'de-AT' });
const person = await german.newPage();
person.setDefaultTimeout(5_000);
const looks = async (name) => {
  for (const look of LOOKS) {
    await person.emulateMedia({ colorScheme: look.colorScheme });
    await person.setViewportSize({ width: look.width, height: 900 });
    await whole(person, `${name}, ${look.name}`);
    await person.screenshot({ path: join(pictures, `${name}-german-${look.name}.png`), fullPage: true });
  }
  const text = await person.locator('main :is(h1, h2, button, label, p:not([lang]))').allInnerTexts();
  assert.doesNotMatch(text.join(' '), /\b(the|your|nothing|what)\b/i, `${name} has English words in German`);
};
const erase = async () => {
  await person.getByLabel('Ich will alles löschen').check();
  await person.getByRole('button', { name: 'Alles löschen' }).click();
};
// Among what was set aside is a folder so deep that what is in it has no path, and cannot go.
const levels = Array(15).fill('d'.repeat(200));
const bottom = join(otherFolder, 'set-aside-1', ...levels);
const obstacle = `${otherFolder}-deep`;
mkdirSync(bottom, { recursive: true });
mkdirSync(join(obstacle, ...levels), { recursive: true });
renameSync(obstacle, join(bottom, 'deep'));
await person.goto(otherAddress);
await person.getByRole('link', { name: 'Deine Daten', exact: true }).click();
await erase();
assert.equal(await person.locator('h1').innerText(), 'Noch ist nicht alles gelöscht');
await looks('not-erased');
renameSync(join(bottom, 'deep'), obstacle);
await erase();
assert.equal(await person.locator('h1').innerText(), 'Alles ist gelöscht');
await looks('erased');

await browser.close();
console.log('done');
