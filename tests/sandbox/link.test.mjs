// The plugin's connection to the program, with a program that the test plays: what is written in which order, what ends a connection, what is
// told to the administrator.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'

import { cleanUp, deferred, until } from '../lib/program.mjs'

const require = createRequire(import.meta.url)
const { Backlog } = require('../../plugin/lib/backlog.js')
const { Link } = require('../../plugin/lib/link.js')
const { Seldom } = require('../../plugin/lib/log.js')

const OLD = { hooks: ['old'] }
const NEW = { hooks: ['new'] }

// One connection, seen from the program: `lines` are what it was told.
class Connection {
  lines = []
  input = new PassThrough()
  output = new PassThrough()
  #ended = deferred()

  constructor(isOwn) {
    this.isOwn = isOwn
    let rest = ''
    this.input.setEncoding('utf8').on('data', text => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      this.lines.push(...lines.map(JSON.parse))
    })
  }

  onEnd(callback) {
    this.#ended.promise.then(callback)
  }

  end(reason) {
    this.#ended.resolve(reason)
  }

  async close() {
    this.closed = true
    this.end('closed')
  }

  say(message) {
    this.output.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  }

  // Answers the hello and the configuration that a connection begins with.
  async welcome(acceptedUpTo = 0) {
    this.say({ hello: { protocol: 1, version: 'test', lineBytes: 67108864, acceptedUpTo } })
    const [, { id }] = await this.told(2)
    this.say({ id, ok: true })
  }

  told(count) {
    return until(`${count} lines`, () => this.lines.length >= count && this.lines)
  }

  // What each line was: a configuration's hook, an event's text.
  get said() {
    return this.lines.map(({ hello, configure, event, call }) => (hello ? 'hello' : (configure?.hooks[0] ?? event ?? call)))
  }
}

function makeLink(t, { helloMs, isOwn = false, open } = {}) {
  const connections = []
  const log = []
  const write = message => log.push(message)
  const seldom = new Seldom({ info: write, warn: write, error: write })
  const backlog = new Backlog(64 * 1024 * 1024)
  backlog.configuration = OLD
  const link = new Link({
    open: () => {
      open?.()
      connections.push(new Connection(isOwn))
      return connections.at(-1)
    },
    source: 'xo',
    session: 's',
    backlog,
    log: { info: write, warn: write, error: write },
    seldom,
    onSettled: () => {},
    onLost: () => {},
    helloMs,
  })
  const event = text => {
    const id = ++link.lastId
    backlog.add(id, `{"id":${id},"event":`, JSON.stringify(text), '}\n')
    link.kick(false)
    return id
  }
  link.start()
  cleanUp(t, () => link.stop(0))
  const connection = number => until(`connection ${number}`, () => connections[number - 1])
  return { link, backlog, connections, connection, log, event }
}

const isReady = link => until('the link is ready', () => link.ready)

test('a new configuration comes after the events before it, and what follows waits for its answer', async t => {
  const { link, connection, event } = makeLink(t)
  const first = await connection(1)
  await first.welcome()
  await isReady(link)
  event('before')
  const answer = link.configure(NEW)
  event('after')
  await first.told(4)
  assert.deepEqual(first.said, ['hello', 'old', 'before', 'new'])
  first.say({ id: first.lines[3].id, ok: true, warnings: ['careful'] })
  assert.deepEqual(await answer, { warnings: ['careful'] })
  await first.told(5)
  assert.equal(first.said[4], 'after')
})

test('after a reconnect: the configuration of before, its events, then the new one', async t => {
  const { link, connection, event } = makeLink(t)
  const first = await connection(1)
  await first.welcome()
  await isReady(link)
  const lastOld = event('a')
  const answer = link.configure(NEW)
  const { id } = (await first.told(4))[3]
  first.say({ id, ok: true })
  await answer
  event('b')
  await first.told(5)
  first.end('killed') // nothing was confirmed
  const second = await connection(2)
  await second.welcome()
  await second.told(4)
  assert.deepEqual(second.said, ['hello', 'old', 'a', 'new'])
  second.say({ id: second.lines[3].id, ok: true })
  await second.told(5)
  assert.equal(second.said[4], 'b')
  second.say({ acceptedUpTo: lastOld })
  second.end('killed')
  const third = await connection(3)
  await third.welcome(lastOld)
  await third.told(3)
  assert.deepEqual(third.said, ['hello', 'new', 'b'])
})

test('a configuration that is saved without a connection waits behind the events', async t => {
  const { link, connection, event } = makeLink(t)
  event('a')
  await link.configure(NEW)
  event('b')
  const first = await connection(1)
  await first.welcome()
  await first.told(4)
  assert.deepEqual(first.said, ['hello', 'old', 'a', 'new'])
  first.say({ id: first.lines[3].id, ok: true })
  assert.deepEqual((await first.told(5)).at(-1).event, 'b')
})

test('without a connection and without events, only the newest configuration is told', async t => {
  const { link, connection, event } = makeLink(t)
  await link.configure({ hooks: ['newer'] })
  await link.configure(NEW)
  event('a')
  const first = await connection(1)
  await first.welcome()
  await first.told(3)
  assert.deepEqual(first.said, ['hello', 'new', 'a'])
})

test('a configuration that the program did not answer in time is taken back before anything else', async t => {
  const { link, connection, event, log } = makeLink(t)
  const first = await connection(1)
  await first.welcome()
  await isReady(link)
  const late = link.configure(NEW, 500)
  event('a')
  await assert.rejects(late, /has not answered within/)
  const [, , { id }, { id: taken }] = await first.told(4)
  assert.deepEqual(first.said, ['hello', 'old', 'new', 'old'])
  first.say({ id, error: { code: 'ECONFIG', message: 'late' } })
  first.say({ id: taken, ok: true })
  await first.told(5)
  assert.equal(first.said[4], 'a')
  assert.equal(link.refused, 0, 'a late answer is no refused event')
  assert.deepEqual(log, [])
})

test('a configuration waits as long as the program goes on with the events before it', async t => {
  const { link, connection } = makeLink(t)
  const first = await connection(1)
  await first.welcome()
  await isReady(link)
  const answer = link.configure(NEW, 1000)
  const [, , { id }] = await first.told(3)
  const end = Date.now() + 1200
  while (Date.now() < end) {
    first.say({ acceptedUpTo: 0 })
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  first.say({ id, ok: true, warnings: [] })
  assert.deepEqual(await answer, { warnings: [] })
})

test('a refused configuration, and one whose connection is lost, are not told again', async t => {
  const { link, connection, event } = makeLink(t)
  const first = await connection(1)
  await first.welcome()
  await isReady(link)
  const refused = link.configure(NEW)
  event('a')
  first.say({ id: (await first.told(3))[2].id, error: { code: 'ECONFIG', message: 'bad', mistakes: [1] } })
  await assert.rejects(refused, ({ message, mistakes }) => message === 'bad' && mistakes.length === 1)
  await first.told(4)
  const lost = link.configure(NEW)
  await first.told(5)
  first.end('killed')
  await assert.rejects(lost, /connection to the delivery program was lost: killed/)
  const second = await connection(2)
  await second.welcome()
  await second.told(3)
  assert.deepEqual(second.said, ['hello', 'old', 'a'])
})

const NO_MESSAGES = ['blah', 'null', '5', '{"hello":null}', '{"hello":{}}', '{"error":null}', '{"id":1,"error":null}', '{"acceptedUpTo":"x"}']
for (const line of [...NO_MESSAGES, 'x'.repeat(5000)])
  test(`${line.slice(0, 30)} ends a connection, which is made again; it is told once`, async t => {
    const { link, connection, connections, log } = makeLink(t)
    const first = await connection(1)
    if (line.length > 1000) first.output.write(line)
    else first.say(`${line}\n${line}`)
    await until('it is closed', () => first.closed)
    const second = await connection(2)
    second.say(line.length > 1000 ? `${line}\n` : line)
    await (await connection(3)).welcome()
    await isReady(link)
    assert.equal(connections.length, 3)
    assert.equal(log.filter(text => /^no connection to the delivery program: .*(no message of xo-hooks|without an end)/.test(text)).length, 2, log.join('\n'))
    assert.match(log[1], /connected to the delivery program test again/)
    assert.match(log[2], /\(1 time since it was last said\)/, 'the second is counted when the connection is there again')
  })

test('a service that never says hello is left, and it is told', async t => {
  const { connection, log } = makeLink(t, { helloMs: 20 })
  const first = await connection(1)
  await until('it is closed', () => first.closed)
  assert.match(log[0], /it has not said hello within 0.02 s; trying again/)
  await connection(2)
})

test('a child that says hello late is told, and not ended', async t => {
  const { link, connection, log } = makeLink(t, { helloMs: 20, isOwn: true })
  const first = await connection(1)
  await until('it is told', () => /it has not said hello within 0.02 s; waiting for it/.test(log[0]))
  assert.equal(first.closed, undefined)
  await first.welcome()
  await isReady(link)
})

test('a program that cannot even be started is tried again', async t => {
  let fails = 2
  const open = () => {
    if (fails-- > 0) throw new Error('spawn ENOTDIR')
  }
  const { link, connection, log } = makeLink(t, { open })
  assert.match(log[0], /spawn ENOTDIR/)
  await (await connection(1)).welcome()
  await isReady(link)
})

test('a program that says hello and dies, again and again, is told once, and tried less and less often', async t => {
  const { link, connection, log } = makeLink(t)
  const at = []
  for (let i = 1; i <= 4; i++) {
    const one = await connection(i)
    at.push(Date.now())
    await one.welcome()
    await isReady(link)
    one.end('ended by SIGSEGV')
    await until('it is seen', () => !link.ready)
  }
  assert.deepEqual(log.map(text => text.match(/^(no connection|connected)/)[1]), ['no connection', 'connected'])
  assert.ok(at[3] - at[2] >= 390 && at[2] - at[1] >= 190, at.join(' '))
})

test('what waits is given to the program at once when it shall end, although the next attempt is far away', async t => {
  const { link, connection, connections, event } = makeLink(t)
  for (let i = 1; i <= 3; i++) {
    await connection(i)
    connections[i - 1].end('killed')
    await until('it is seen', () => link.ready === false && connections.length === i)
  }
  const id = event('a')
  const stopped = link.stop(60_000)
  const last = await connection(4)
  await last.welcome()
  await last.told(3)
  last.say({ acceptedUpTo: id })
  await stopped
  assert.equal(last.closed, true)
})
