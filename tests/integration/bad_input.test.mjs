// What is wrong gets its own clear error and counter; what is legal passes unchanged; the rest goes on.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { cleanUp, httpTarget, run, start, tempFolder, until } from '../lib/program.mjs'
import { event, hook, serve, Serve } from '../lib/serve.mjs'

const BAD = [
  ['not JSON', 'hello', 'EJSON'],
  ['two values', '{"event":{"type":"pre","method":"a.b"}} {}', 'EJSON'],
  ['ends in the middle', '{"event":{"type":"pre","meth', 'ETRUNCATED'],
  ['a NUL byte', '{"event":{"type":"pre","method":"a\0b"}}', 'ENUL'],
  ['invalid UTF-8', Buffer.from('7b226576656e74223a7b2274797065223a22ff227d7d', 'hex'), 'EUTF8'],
  ['too deep', `{"event":{"type":"pre","method":"a.b","params":${'['.repeat(5000)}${']'.repeat(5000)}}}`, 'EDEPTH'],
  ['no method', '{"event":{"type":"pre"}}', 'EMISSING'],
  ['no type', '{"event":{"method":"a.b"}}', 'EMISSING'],
  ['a wrong type', '{"event":{"type":"during","method":"a.b"}}', 'EEVENT'],
  ['a method that is a path', '{"event":{"type":"pre","method":"../../x y"}}', 'EEVENT'],
  ['no event', '{"event":7}', 'EEVENT'],
  ['an unknown property', '{"evnt":{}}', 'EPROTOCOL'],
  ['nothing', '{}', 'EMISSING'],
  ['a list', '[]', 'EPROTOCOL'],
  ['an id that is none', '{"id":"x","event":{"type":"pre","method":"a.b"}}', 'EPROTOCOL'],
]

test('each bad line gets its own error, is counted, and the connection goes on', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'pre/post', target.url)])
  const source = await s.source()
  for (const [, line] of BAD) {
    source.raw(line)
    source.raw('\n')
  }
  source.send({ id: 7, event: { type: 'pre' } })
  source.send({ id: 8, event: event('vm.start') })
  for (const [index, [what, , code]] of BAD.entries()) {
    const { error } = await source.next()
    assert.equal(error.code, code, `${what}: ${JSON.stringify(error)}`)
    assert.equal(error.line, index + 1)
    assert.ok(error.message.length > 10)
  }
  assert.equal((await source.answer(7)).error.code, 'EMISSING')
  assert.equal((await source.answer(8)).accepted, true)
  await target.next()
  const { refused } = await s.json('stats')
  const expected = { EMISSING: 1 }
  for (const [, , code] of BAD) expected[code] = (expected[code] ?? 0) + 1
  assert.deepEqual(refused, expected)
})

test('a line beyond the cap is refused without being kept; the next one is fine', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'pre/post', target.url)], { args: ['--line-cap', '64K'] })
  const source = await s.source()
  const line = size => {
    const empty = JSON.stringify({ id: 1, event: event('vm.start', 'post', { pad: '' }) })
    return JSON.stringify({ id: 1, event: event('vm.start', 'post', { pad: 'x'.repeat(size - empty.length) }) })
  }
  source.raw(line(65536) + '\n')
  assert.equal((await source.next()).accepted, true)
  source.raw(line(65537) + '\n')
  const { error } = await source.next()
  assert.equal(error.code, 'ECAP')
  assert.equal(error.line, 2)
  source.send({ id: 2, event: event('vm.start') })
  assert.equal((await source.next()).accepted, true)
  assert.equal((await target.next()).body.length, 65536 - '{"id":1,"event":}'.length)
})

test('a last line without newline is taken, half a one is refused', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'pre/post', target.url)])
  const whole = await s.source()
  whole.raw(JSON.stringify({ id: 1, event: event('vm.start') }))
  whole.socket.end()
  assert.equal((await whole.next()).accepted, true)
  const half = await s.source()
  half.raw('{"id":2,"event":{"type"')
  half.socket.end()
  assert.equal((await half.next()).error.code, 'ETRUNCATED')
})

test('what is legal passes byte for byte', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'pre/post', target.url)])
  const source = await s.source()
  const legal = [
    '{"type":"pre","method":"a.b"}',
    '{"type":"pre","method":"a.b","params":{"n":9007199254740993,"m":-0,"e":1E+2,"f":0.10000000000000000001}}',
    '{"type":"pre","method":"a.b","params":{"s":"\\ud800","t":"\\udc00\\ud800","u":"\\u0000"}}',
    '{"type":"pre","method":"a.b","params":{"k":1,"k":2,"k":1}}',
    ' \t{ "type" :\t"pre" , "method":"a.b" }  ',
    '{"type":"pre","method":"a.b","whoKnows":[{},[],null,"\\/",true]}',
    `{"type":"pre","method":"a.b","params":${'['.repeat(1000)}${']'.repeat(1000)}}`,
    `{"type":"pre","method":"a.b","pad":"${'ü'.repeat(3_000_000)}"}`,
  ]
  for (const [index, text] of legal.entries()) {
    source.raw(`{"id":${index + 1},"event":${text}}\n`)
    const request = await target.next()
    assert.ok(request.text === text.trim(), `case ${index}: ${request.text.slice(0, 200)}`)
  }
})

test('send names each bad line of a file and takes the rest', async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'pre/post', target.url)])
  const file = join(tempFolder(t), 'events.ndjson')
  writeFileSync(file, `${JSON.stringify(event('vm.start'))}\nrubbish\n\n${JSON.stringify({ event: event('vm.stop') })}\n{"type":"pre"}`)
  const { status, stdout, stderr } = await s.command('send', '--json', file)
  assert.equal(status, 1)
  assert.deepEqual(JSON.parse(stdout), { sent: 2, accepted: 2, refused: 2 })
  assert.match(stderr, /events\.ndjson:2: not valid JSON/)
  assert.match(stderr, /events\.ndjson:5: property "method" is missing/)
  await target.count(2)
})

test('send on its own delivers and ends; dead ones are its status', async t => {
  const target = await httpTarget(t, (request, res) => res.writeHead(request.json.method === 'vm.stop' ? 500 : 200).end())
  const folder = tempFolder(t)
  const config = join(folder, 'hooks.json')
  writeFileSync(config, JSON.stringify({ hooks: [hook('*', 'post', target.url, { advanced: { retry: { schedule: [0, 0.1] } } })] }))
  const well = await run(['send', '--json', '--config', config], { input: JSON.stringify(event('vm.start')) + '\n' })
  assert.deepEqual([well.status, JSON.parse(well.stdout).delivered], [0, 1])
  const badly = await run(['send', '--json', '--config', config], { input: JSON.stringify(event('vm.stop')) + '\n' })
  assert.deepEqual([badly.status, JSON.parse(badly.stdout).dead], [1, 1])
  assert.equal(target.requests.length, 3)
  const nobody = await run(['send', '--data', folder], { input: '' })
  assert.equal(nobody.status, 3)
})

test('serve says which option is wrong, and what it may be', async () => {
  for (const [args, says] of [
    [['--nice', '20'], /--nice 20: must be a number from 0 .* to 19/],
    [['--nice', '1x'], /--nice 1x: must be/],
    [['--keep-dead', 'long'], /--keep-dead long: must be a duration, such as/],
    [['--line-cap', '7'], /--line-cap 7: must be a size of at least 1024 bytes/],
    [['--allow-uid', 'nobody-by-that-name'], /--allow-uid nobody-by-that-name: neither a user's name nor a number/],
    [['now'], /unexpected argument: now/],
    [['--unknown'], /unrecognized option '--unknown'/],
  ]) {
    const { status, stderr } = await run(['serve', ...args])
    assert.equal(status, 2, args.join(' '))
    assert.match(stderr, says)
    assert.match(stderr, /xo-hooks serve --help/)
  }
})

test('long lines of many sources at once: they are taken one after the other, and memory is bounded', async t => {
  const s = await serve(t, [], { args: ['--line-cap', '16M'], preset: 'release' })
  const sources = await Promise.all(Array.from({ length: 12 }, () => s.source()))
  const pad = 'x'.repeat(15_000_000)
  const line = JSON.stringify({ id: 1, event: event('vm.start', 'post', { params: { pad } }) })
  const half = line.length / 2
  for (const source of sources) source.raw(line.slice(0, half))
  const other = await s.source()
  other.raw(`{"id":1,"event":{"type":"post","method":"a.b","x":"${'y'.repeat(500_000)}`)
  other.raw('"}}\n') // not long: waits for nobody
  assert.equal((await other.answer(1)).accepted, true)
  for (const source of sources) source.raw(line.slice(half) + '\n')
  for (const source of sources) assert.equal((await source.answer(1)).accepted, true)
  const mostMiB = readFileSync(`/proc/${s.process.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1] / 1024
  assert.ok(mostMiB < 130, `${mostMiB} MiB`)
})

test('rubbish does not fill the log: some lines are told, the others counted', async t => {
  const s = await serve(t, [])
  const source = await s.source()
  source.raw('rubbish\n'.repeat(3000))
  await source.call('ping')
  assert.equal((await s.json('stats')).refused.EJSON, 3000)
  const told = s.process.stderr.filter(line => /a line was refused/.test(line)).length
  assert.ok(told > 0 && told < 20, `${told} lines`)
  source.close()
  await s.process.waitFor(new RegExp(`${3000 - told} more lines were refused`))
})

test('a log that nobody reads holds up nothing, and tells what is missing from it', async t => {
  const s = new Serve(t, [])
  const path = join(s.folder, 'log')
  execFileSync('mkfifo', [path])
  const end = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  const log = openSync(path, 'r+')
  cleanUp(t, () => [end, log].forEach(fd => closeSync(fd)))
  fill(end)
  s.process = start(t, ['serve', '--data', s.data, '--config', s.config], { stdio: ['ignore', 'ignore', log] })
  await until('its socket', () => existsSync(s.socket))
  const source = await s.source()
  source.raw('rubbish\n'.repeat(100))
  assert.ok((await source.call('ping')).version)
  drain(end)
  s.process.proc.kill('SIGHUP')
  let text = ''
  await until('its lines', () => /\d+ lines of this log were dropped/.test((text += drain(end))) && / 0 hooks/.test(text))
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null })
})

function fill(fd) {
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096, '.'))
  } catch (error) {
    assert.equal(error.code, 'EAGAIN')
  }
}

function drain(fd) {
  let text = ''
  const bytes = Buffer.alloc(65536)
  try {
    for (;;) text += bytes.toString('latin1', 0, readSync(fd, bytes))
  } catch (error) {
    assert.equal(error.code, 'EAGAIN')
  }
  return text
}
