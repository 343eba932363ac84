// A person in front of the privacy centre, in a real browser.
//
// node centre.mjs ADDRESS PICTURES CHROMIUM: does what a person does, step by step, and stops at the first thing that is not
// as it should be. PICTURES is a folder for screenshots, to be looked at.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [address, pictures, executablePath] = process.argv.slice(2);
const origin = new URL(address).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATHS = ['/', '/choices', '/taste', '/sharing', '/data'];

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

const picture = (path, look) => {
  const name = path === '/' ? 'overview' : path.slice(1);
  return page.screenshot({ path: join(pictures, `${name}-${look}.png`), fullPage: true });
};
const button = (name) => page.getByRole('button', { name });
const heading = () => page.locator('h1').innerText();
const row = (purpose) => page.locator('li', { has: page.locator(`[id="${purpose}"]`) }).last();
const state = async (purpose) => row(purpose).locator('.state').innerText();

step('the address opens once');
await page.goto(address);
assert.equal(new URL(page.url()).pathname, '/');
const stranger = await browser.newContext();
const barred = await (await stranger.newPage()).goto(address);
assert.equal(barred.status(), 403);
const bare = await (await stranger.newPage()).goto(`${origin}/data`);
assert.equal(bare.status(), 403);
await stranger.close();

step('every page is whole, in light, dark and on a phone');
for (const look of [
  { name: 'light', colorScheme: 'light', width: 1200 },
  { name: 'dark', colorScheme: 'dark', width: 1200 },
  { name: 'phone', colorScheme: 'light', width: 360 },
]) {
  await page.emulateMedia({ colorScheme: look.colorScheme });
  await page.setViewportSize({ width: look.width, height: 900 });
  for (const path of PATHS) {
    await page.goto(origin + path);
    assert.equal(await page.locator('h1').count(), 1, `${path} has one h1`);
    assert.equal(await page.locator('script').count(), 0, `${path} has no script`);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wider <= 0, `${path} is ${wider} px wider than ${look.width} px`);
    await page.evaluate(axe);
    const faults = await page.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
    const said = faults.violations.map((fault) => `${fault.id}: ${fault.nodes.map((node) => node.html).slice(0, 2)}`);
    assert.deepEqual(said, [], `${path}, ${look.name}`);
    await picture(path, look.name);
  }
}
await page.setViewportSize({ width: 1200, height: 900 });
await page.emulateMedia({ colorScheme: 'light' });

step('what nothing uses is not offered');
await page.goto(`${origin}/choices`);
for (const purpose of ['channel-slate', 'cross-device-sync', 'third-party-share']) {
  assert.equal(await page.locator(`[id="${purpose}"]`).count(), 0, purpose);
}
assert.equal(await page.locator('.levels button').count(), 4);

step('in and out cost the same number of steps');
// From the first page: each step is a click.
const steps = async (name) => {
  let count = 0;
  await page.goto(origin);
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
await page.goto(`${origin}/choices`);
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
await page.goto(`${origin}/choices`);
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
for (const path of PATHS) {
  await page.goto(origin + path);
  const text = await page.locator('body').innerText();
  assert.doesNotMatch(text, /\b(Turn|the|your|with)\b/, `${path} has English words in German`);
  await picture(path, 'german');
}
await page.getByRole('link', { name: 'English' }).click();

step('an item is corrected and removed');
await page.goto(`${origin}/data`);
const items = () => page.locator('tbody tr').count();
const before = await items();
assert.ok(before > 1, 'there is a history');
await page.locator('tbody summary').first().click();
await page.locator('tbody select').first().selectOption('purchase');
await button('Save').first().click();
await page.locator('tbody summary').first().click();
assert.equal(await page.locator('tbody select').first().inputValue(), 'purchase');
await button(/^Remove/).first().click();
assert.equal(await items(), before - 1);

step('reasons, what-if and mute');
await page.goto(`${origin}/taste`);
const first = page.locator('.list').first().locator('li').first();
const title = await first.locator('strong').innerText();
await first.getByRole('link', { name: /Why this/ }).click();
assert.match(await heading(), new RegExp(title.replace(/[^\w ]/g, '.')));
await page.screenshot({ path: join(pictures, 'why.png'), fullPage: true });
await page.getByRole('link', { name: /What if not/ }).first().click();
await page.screenshot({ path: join(pictures, 'what-if.png'), fullPage: true });
await page.goto(`${origin}/taste`);
await first.getByRole('button', { name: /Not interested/ }).click();
const titles = await page.locator('.list').first().locator('strong').allInnerTexts();
assert.ok(!titles.includes(title), `${title} is muted`);
await page.screenshot({ path: join(pictures, 'taste-muted.png'), fullPage: true });
await button(`Unmute: ${title}`).click();

step('everything can be taken along');
await page.goto(`${origin}/data`);
for (const name of ['Download as JSON', 'Download as a table', 'Download to read']) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()]);
  assert.ok(readFileSync(await file.path(), 'utf8').length > 100, name);
}

step('a form of another page is refused');
const forged = await context.request.post(`${origin}/decide`, {
  form: { purpose: 'contribute-training', granted: 'true', proof: '00' },
});
assert.equal(forged.status(), 400);
const foreign = await context.request.post(`${origin}/decide`, {
  form: { purpose: 'contribute-training', granted: 'true', proof: '00' },
  headers: { origin: 'http://elsewhere.example' },
});
assert.equal(foreign.status(), 403);

step('everything is erased');
await page.goto(`${origin}/data`);
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
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wider <= 0, `the last page is ${wider} px wider than ${width} px`);
}
await page.evaluate(axe);
const last = await page.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
assert.deepEqual(last.violations.map((fault) => fault.id), []);
await page.screenshot({ path: join(pictures, 'erased.png'), fullPage: true });

step('no other computer was asked for anything');
const elsewhere = asked.filter((url) => !url.startsWith(origin));
assert.deepEqual(elsewhere, []);
await browser.close();
console.log('done');
