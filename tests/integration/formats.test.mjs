// What is sent in each format is read by the field's own libraries: CloudEvents' SDK, the parser of Adaptive Cards; and is within what
// Slack's reference of Block Kit allows ("Blocks", "Text object").
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { HTTP } from 'cloudevents'

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
          if (type === 'mrkdwn') assert.doesNotMatch(text, /<!channel>/)
        }
      } else {
        assert.equal(block.type, 'context')
        assert.ok(block.elements.length > 0 && block.elements.length <= LIMITS.elements)
      }
    }
  }
})
