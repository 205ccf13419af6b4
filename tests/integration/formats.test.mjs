// What is sent in each format is read by the field's own libraries: CloudEvents' SDK, the parser of Adaptive Cards; and is within what
// Slack's reference of Block Kit allows ("Blocks", "Text object").
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { HTTP } from 'cloudevents'
import MarkdownIt from 'markdown-it'

import { httpTarget, root, run, tempFolder } from '../lib/program.mjs'
import { event, hook } from '../lib/serve.mjs'

// Its ES modules name files without endings, which Node.js does not load; the bundle it loads.
const AdaptiveCards = createRequire(import.meta.url)('adaptivecards/dist/adaptivecards.js')

const captured = readFileSync(join(root, 'tests/data/stock-plugin-requests.ndjson'), 'utf8')
  .split('\n')
  .filter(Boolean)
  .map(line => JSON.parse(line))
  .map(({ body }) => (typeof body === 'string' ? body : JSON.stringify(body)))
  .filter(body => JSON.parse(body).method)

const made = [
  event('vm.start', 'post', { params: { id: 'a'.repeat(5000) }, userName: '<!channel> *b* & "q" \\ é 😀', error: { message: '`x` _y_ ~z~\n> '.repeat(2000) } }),
  event('a', 'pre', { params: {} }),
  event('vm.set', 'post', { params: { id: 'x', name_label: 'n' }, result: { deep: [[[{}]]] }, timestamp: 0 }),
].map((one, i) => JSON.stringify({ ...one, callId: `made${i}` }))

// What strangers may call themselves: nobody needs to be signed in for a session.signIn that fails.
const STRANGE = [
  '[Your account is locked: sign in here](http://evil.example/)',
  '![x](http://evil.example/x.png) <http://evil.example/> <at>all</at>',
  '{{DATE(2017-02-14T06:08:00Z, SHORT)}} {{{x}}}',
  '**b** *i* __b__ _i_ ~~s~~ ~s~ `c` <b>h</b> &amp; &#91;x] \\[y](z) \\\\ $&',
  '# heading',
  '1. one',
  '12) twelve',
  '3.4 s',
  '10.0.0.1',
  '7.',
  '- item',
  '+ item',
  '> quote',
  '| a | b |',
  '    code',
  '```sh',
  'a_b_c (d) [e] (f) 3.5 - + #',
]
made.push(
  ...STRANGE.map((text, i) =>
    JSON.stringify(
      event('session.signIn', 'post', {
        callId: `strange${i}`,
        userName: text,
        params: { email: text },
        error: i % 2 ? { message: text } : undefined,
        result: i % 2 ? undefined : text,
      })
    )
  )
)

async function sent(t, format) {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  writeFileSync(join(folder, 'hooks.json'), JSON.stringify({ hooks: [hook('*', 'pre/post', target.url, { format })] }))
  const events = [...captured, ...made]
  const { status, stderr } = await run(['send', '--config', join(folder, 'hooks.json')], { input: events.join('\n') + '\n' })
  assert.equal(status, 0, stderr)
  assert.equal(target.requests.length, events.length)
  return { events: events.map(text => JSON.parse(text)), requests: target.requests }
}

test('cloudevents: what the SDK reads is the event', async t => {
  const { events, requests } = await sent(t, 'cloudevents')
  const ids = new Set()
  for (const { headers, text } of requests) {
    assert.match(headers['content-type'], /^application\/cloudevents\+json/)
    const read = HTTP.toEvent({ headers, body: text })
    assert.equal(read.validate(), true)
    assert.equal(read.specversion, '1.0')
    assert.equal(read.type, `xo.api.${read.data.method}.${read.data.type}`)
    const its = events.find(({ callId, type, method }) => callId === read.data.callId && type === read.data.type && method === read.data.method)
    const time = new Date(read.time).getTime() // a sample has none: its timestamp is 0
    assert.ok(its.timestamp ? time === its.timestamp : Math.abs(time - Date.now()) < 60_000, read.time)
    ids.add(read.id)
  }
  assert.equal(ids.size, new Set(events.map(({ callId, type }) => `${callId} ${type}`)).size)
})

test('teams: the parser of Adaptive Cards reads each card without a complaint', async t => {
  const { requests } = await sent(t, 'teams')
  for (const { json, body } of requests) {
    assert.ok(body.length < 28 * 1024, 'what Teams takes')
    assert.equal(json.type, 'message')
    const [{ contentType, content }] = json.attachments
    assert.equal(contentType, 'application/vnd.microsoft.card.adaptive')
    const context = new AdaptiveCards.SerializationContext()
    const card = new AdaptiveCards.AdaptiveCard()
    card.parse(content, context)
    assert.equal(context.eventCount, 0, JSON.stringify([...Array(context.eventCount).keys()].map(i => context.getEventAt(i).message)))
    assert.deepEqual(card.validateProperties().validationEvents, [])
    assert.ok(card.getItemCount() >= 2)
  }
})

// The text that a reader sees, and that there is nothing but text.
function seen(markdown) {
  const tokens = new MarkdownIt().enable('strikethrough').parse(markdown)
  assert.deepEqual(tokens.map(({ type }) => type), ['paragraph_open', 'inline', 'paragraph_close'], markdown)
  for (const { type } of tokens[1].children) assert.ok(type.startsWith('text'), `${type}: ${markdown}`)
  return tokens[1].children.map(({ content }) => content).join('')
}

test('teams: texts of strangers are read as they are', async t => {
  const { events, requests } = await sent(t, 'teams')
  const shown = text => text.trimStart()
  for (const text of STRANGE) {
    const at = events.findIndex(({ userName }) => userName === text)
    const card = requests.map(({ json }) => json.attachments[0].content).find(({ body }) =>
      body.at(-1).facts.some(({ title, value }) => title === 'By' && seen(value) === shown(text)))
    assert.ok(card, `nobody is called ${text}`)
    const texts = [...card.body.slice(0, -1).map(block => block.text), ...card.body.at(-1).facts.map(({ value }) => value)]
    for (const one of texts) {
      seen(one)
      assert.doesNotMatch(one, /\{\{|\]\(/)
    }
    const outcome = events[at].error ? card.body[1].text : card.body.at(-1).facts.find(({ title }) => title === 'Result').value
    assert.equal(seen(outcome), shown(text))
    assert.equal(seen(card.body.at(-1).facts.find(({ title }) => title === 'Object').value), shown(text))
  }
})

const LIMITS = { header: 150, text: 3000, field: 2000, fields: 10, blocks: 50, elements: 10 }

test('slack: blocks within what Block Kit allows, and nobody is called by a name', async t => {
  const { requests } = await sent(t, 'slack')
  for (const { json } of requests) {
    assert.ok(json.text.length > 0 && json.text.length <= 40_000)
    assert.ok(!json.text.includes('<!channel>'))
    assert.ok(json.blocks.length > 0 && json.blocks.length <= LIMITS.blocks)
    for (const block of json.blocks) {
      if (block.type === 'header') {
        assert.equal(block.text.type, 'plain_text')
        assert.ok(block.text.text.length > 0 && block.text.text.length <= LIMITS.header)
      } else if (block.type === 'section') {
        assert.ok(block.text || block.fields)
        if (block.text) assert.ok(block.text.text.length > 0 && block.text.text.length <= LIMITS.text)
        assert.ok((block.fields ?? []).length <= LIMITS.fields)
        for (const { type, text } of block.fields ?? []) {
          assert.ok(['mrkdwn', 'plain_text'].includes(type))
          assert.ok(text.length > 0 && text.length <= LIMITS.field)
          if (type === 'mrkdwn') assert.match(text, /^\*(By|Object|When|Took|Result)\*$/)
        }
      } else {
        assert.equal(block.type, 'context')
        assert.ok(block.elements.length > 0 && block.elements.length <= LIMITS.elements)
        for (const { type, text } of block.elements) if (type === 'mrkdwn') assert.match(text, /^`[\w.:$-]+` (pre|post)$/)
      }
    }
  }
})

test('slack: texts of strangers are never mrkdwn', async t => {
  const { requests } = await sent(t, 'slack')
  for (const text of STRANGE) {
    const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
    const { json } = requests.find(({ json }) => json.blocks.some(({ fields }) => fields?.some(field => field.text === escaped)))
    assert.equal(json.mrkdwn, false)
    for (const { text, fields = [], elements = [] } of json.blocks)
      for (const one of [text, ...fields, ...elements]) if (one?.type === 'mrkdwn') assert.ok(!one.text.includes(escaped))
  }
})
