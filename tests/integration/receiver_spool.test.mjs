// xo-hooks listen --spool and xo-hooks spool: stored before the answer, done afterwards, over kill -9 and restarts.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'

import { cleanUp, httpTarget, run, tempFolder, until } from '../lib/program.mjs'
import { listen, scriptFolder, send, signed, spoolEmpty, spoolList } from '../lib/receiver.mjs'
import { event } from '../lib/serve.mjs'

const lines = path => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [])
const spool = (folder, action, ...args) => run(['spool', action, '--spool', folder, ...args])

// A receiver whose scripts note "ID ATTEMPT" in `notes`, and then do what `then` says.
function spooling(t, then = '', { files = {}, args = [] } = {}) {
  const folder = join(tempFolder(t), 'spool')
  const cwd = tempFolder(t)
  const scripts = scriptFolder(t, { 'default-post.sh': `#!/bin/sh\necho "$XO_DELIVERY_ID $XO_ATTEMPT" >>notes\n${then}\n`, ...files })
  return {
    folder,
    notes: () => lines(join(cwd, 'notes')),
    touch: name => writeFileSync(join(cwd, name), ''),
    path: name => join(cwd, name),
    start: (more = [], options) => listen(t, ['--spool', folder, '--scripts', scripts, ...args, ...more], { cwd, ...options }),
  }
}

// A script must not outlive the test: without its folder it ends.
const GATE = 'until [ -e go ] || ! [ -e "$PWD" ]; do sleep 0.01; done'
const numbered = (r, i, more = {}) => r.post({ ...event('vm.start'), ...more }, { 'webhook-id': `msg_${i}` })

const repeatIsDone = (r, i) =>
  until('a repeat is answered as done', async () => {
    const { status, json } = await numbered(r, i)
    if (status !== 503) assert.deepEqual([status, json], [200, { ok: true, delivery: `msg_${i}`, again: true }])
    return status === 200
  })

test('stored and synced, answered 202, and then run in order of arrival', async t => {
  const s = spooling(t, GATE, { args: ['--jobs', '1'] })
  const r = await s.start()
  for (let i = 0; i < 5; i++) assert.deepEqual([(await numbered(r, i)).status], [202])
  await until('the first has begun', () => s.notes().length === 1)
  assert.deepEqual((await spoolList(s.folder)).map(job => [job.delivery, job.state, job.method, job.type, job.attempts]), [0, 1, 2, 3, 4].map(i => [`msg_${i}`, 'pending', 'vm.start', 'post', 0]))
  assert.equal(statSync(s.folder).mode & 0o777, 0o700)
  assert.equal(statSync(join(s.folder, 'spool.db')).mode & 0o777, 0o600)
  s.touch('go')
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes(), [0, 1, 2, 3, 4].map(i => `msg_${i} 1`))
})

test('kill -9 under load and restart, again and again: each event at least once, in order of arrival', async t => {
  const s = spooling(t, '', { args: ['--jobs', '1', '--secret', 'a secret for this'] })
  let accepted = []
  let next = 0
  for (let round = 0; round < 4; round++) {
    const r = await s.start()
    let dead = false
    const client = async () => {
      while (!dead) {
        const id = `msg_${next++}`
        const body = JSON.stringify(event('vm.start'))
        // One client, so that the order of the answers is the order of arrival.
        const answer = await r.post(body, signed('a secret for this', body, { id })).catch(() => null)
        if (!answer) return
        assert.equal(answer.status, 202)
        accepted.push(id)
      }
    }
    const working = client()
    const aim = s.notes().length + 40
    await until('a few runs', () => s.notes().length >= aim)
    await r.stop('SIGKILL')
    dead = true
    await working
  }
  const r = await s.start()
  const body = JSON.stringify(event('vm.start'))
  const repeated = await r.post(body, signed('a secret for this', body, { id: accepted[0] }))
  assert.deepEqual([repeated.status, repeated.json.again], [200, true], 'a replay is known after the restart')
  await spoolEmpty(s.folder)
  const firsts = [...new Set(s.notes().map(note => note.split(' ')[0]))]
  const ran = new Set(firsts)
  assert.ok(accepted.length > 100, `only ${accepted.length} were accepted`)
  assert.deepEqual(accepted.filter(id => !ran.has(id)), [], 'what was answered 202 has run')
  const order = firsts.map(id => Number(id.slice(4)))
  assert.deepEqual(order, [...order].sort((a, b) => a - b), 'in order of arrival')
  const twice = s.notes().length - firsts.length
  assert.ok(twice <= 4, `${twice} ran twice; only the one that was running at a kill may`)
})

test('a failure is tried again as many times as told, with growing waits; a .d folder goes on where it failed', async t => {
  const s = spooling(t, '', {
    args: ['--retry', '3', '--retry-wait', '100ms'],
    files: {
      'vm.stop-post.d/01-dhcp': '#!/bin/sh\necho "dhcp $XO_ATTEMPT" >>steps\n',
      'vm.stop-post.d/02-cmdb': '#!/bin/sh\necho "cmdb $XO_ATTEMPT $(date +%s%3N)" >>steps\n[ "$XO_ATTEMPT" = 3 ]\n',
      'vm.stop-post.d/03-mail': '#!/bin/sh\necho "mail $XO_ATTEMPT" >>steps\n',
    },
  })
  const r = await s.start()
  assert.equal((await r.post(event('vm.stop'))).status, 202)
  await spoolEmpty(s.folder)
  const steps = lines(s.path('steps')).map(line => line.split(' '))
  assert.deepEqual(steps.map(([name, attempt]) => `${name} ${attempt}`), ['dhcp 1', 'cmdb 1', 'cmdb 2', 'cmdb 3', 'mail 3'])
  const [one, two, three] = steps.filter(([name]) => name === 'cmdb').map(step => Number(step[2]))
  assert.ok(two - one >= 95 && three - two >= 195, `${two - one} and ${three - two} ms`)
})

test('what finally failed is kept, listed, shown and run again; also without a receiver', async t => {
  const s = spooling(t, 'echo trouble with "$XO_OBJECT_ID"\n[ -e go ]', { args: ['--retry', '1', '--retry-wait', '10ms'] })
  const r = await s.start()
  await numbered(r, 1)
  await numbered(r, 2)
  await r.count('the end', line => /failed for good; kept: xo-hooks spool show \d+/.test(line.outcome), 2)
  await until('both failed', async () => (await spoolList(s.folder, '--failed')).length === 2)
  assert.deepEqual(s.notes().sort(), ['msg_1 1', 'msg_1 2', 'msg_2 1', 'msg_2 2'])
  const [first] = await spoolList(s.folder, '--failed')
  assert.deepEqual([first.delivery, first.attempts, first.error], ['msg_1', 2, 'default-post.sh: exit status 1'])
  const shown = JSON.parse((await spool(s.folder, 'show', 'msg_1', '--json')).stdout)
  assert.deepEqual([shown.state, shown.output, JSON.parse(shown.body)], ['failed', 'trouble with 67aac198\n', event('vm.start')])
  assert.match((await spool(s.folder, 'show', String(first.number))).stdout, /failed +vm\.start post .*exit status 1[^]*trouble with 67aac198[^]*"method":"vm\.start"/)
  assert.match((await spool(s.folder, 'list')).stdout, /failed {3}vm\.start post {2}2 attempts {2}default-post\.sh: exit status 1/)
  s.touch('go')
  assert.equal((await spool(s.folder, 'retry', 'msg_1')).stdout, '1 made due now\n')
  await until('one is done', async () => (await spoolList(s.folder)).length === 1)
  await r.stop()
  assert.equal((await spool(s.folder, 'retry', '--json')).stdout, '{"retried":1}\n')
  assert.equal((await spoolList(s.folder, '--pending')).length, 1)
  assert.equal((await spool(s.folder, 'list', '--failed')).stdout, 'nothing\n')
  const again = await s.start()
  await again.process.waitFor(/the spool holds 1 waiting and 0 failed jobs/)
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes().slice(4), ['msg_1 1', 'msg_2 1'])
  for (const [args, status, why] of [
    [['show', 'msg_1', '--spool', s.folder], 1, /there is no job msg_1/],
    [['retry', 'msg_1', '--spool', s.folder], 1, /there is no job msg_1 in .* that failed or waits for its next attempt/],
    [['list', '--spool', '/nonexistent'], 3, /there is no spool in/],
    [['list'], 2, /name the folder/],
    [['drop', '--spool', s.folder], 2, /say what to do/],
    [['list', '17', '--spool', s.folder], 2, /list: takes no job, and "17" was given/],
    [['list', '--failed', '--pending', '--spool', s.folder], 2, /--failed and --pending: give one of them/],
  ]) {
    const told = await run(['spool', ...args])
    assert.equal(told.status, status, `${args}: ${told.stderr}`)
    assert.match(told.stderr, why)
  }
})

test('spool retry does all that is named, says what it did not find, and makes due now what waits', async t => {
  const s = spooling(t, '[ -e go ]', { args: ['--retry-wait', '1h'] })
  const r = await s.start()
  for (let i = 0; i < 3; i++) await numbered(r, i)
  await until('all wait for their next attempt', async () => (await spoolList(s.folder)).filter(job => job.nextAt > Date.now()).length === 3)
  s.touch('go')
  assert.equal((await spool(s.folder, 'retry')).stdout, '0 made due now\n', 'without a name only those that failed for good')
  const retried = await spool(s.folder, 'retry', '1', '99', 'msg_1')
  assert.deepEqual([retried.status, retried.stdout], [1, '2 made due now\n'])
  assert.match(retried.stderr, /there is no job 99 in .* that failed or waits for its next attempt/)
  await until('one is left', async () => (await spoolList(s.folder)).length === 1)
  assert.deepEqual(s.notes().slice(3).sort(), ['msg_0 1', 'msg_1 1'])
})

test('spool list says when there is more, and writes nothing', async t => {
  const folder = tempFolder(t)
  const r = await listen(t, ['--no-scripts', '--spool', folder, '--forward', 'http://127.0.0.1:9/'])
  const agent = new Agent({ keepAlive: true })
  cleanUp(t, () => agent.destroy())
  for (let i = 0; i < 1001; i++) await r.post(event('vm.start'), {}, { agent })
  await r.stop('SIGKILL')
  const all = await spool(folder, 'list', '--json')
  assert.equal(all.stdout.split('\n').length - 1, 1000)
  assert.match(all.stderr, /only the first 1000 are shown; --limit N shows more/)
  assert.equal((await spool(folder, 'list', '--limit', '1001')).stderr, '')
  const empty = tempFolder(t)
  writeFileSync(join(empty, 'spool.db'), '')
  assert.equal((await spool(empty, 'list')).status, 3)
  assert.deepEqual(readdirSync(empty), ['spool.db'])
  assert.equal(statSync(join(empty, 'spool.db')).size, 0)
})

test('SIGTERM: the running script comes to its end, the rest stays in the spool and runs after the restart', async t => {
  const s = spooling(t, GATE, { args: ['--jobs', '1'] })
  const r = await s.start()
  for (let i = 0; i < 3; i++) await numbered(r, i)
  await until('the first has begun', () => s.notes().length === 1)
  const ended = r.stop()
  await r.process.waitFor(/terminated: stopping/)
  s.touch('go')
  assert.deepEqual(await ended, { code: 0, signal: null })
  assert.deepEqual((await spoolList(s.folder)).map(job => job.delivery), ['msg_1', 'msg_2'])
  await s.start()
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes(), ['msg_0 1', 'msg_1 1', 'msg_2 1'])
})

test('--end-scripts: the script that was ended runs again after the restart, and its attempt does not count', async t => {
  const s = spooling(t, GATE, { args: ['--retry', '0', '--end-scripts'] })
  const r = await s.start()
  await numbered(r, 0)
  await until('it has begun', () => s.notes().length === 1)
  assert.deepEqual(await r.stop(), { code: 0, signal: null })
  s.touch('go')
  await s.start()
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes(), ['msg_0 1', 'msg_0 1'])
})

test('--serial with a spool: the events of an object wait for the one that is tried again', async t => {
  const s = spooling(t, '[ "$XO_DELIVERY_ID" != msg_0 ] || [ "$XO_ATTEMPT" = 3 ]', { args: ['--serial', '--retry-wait', '50ms'] })
  const r = await s.start()
  for (const [i, id] of ['a', 'a', 'b', 'a'].entries()) await numbered(r, i, { params: { id } })
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes().filter(note => note !== 'msg_2 1'), ['msg_0 1', 'msg_0 2', 'msg_0 3', 'msg_1 1', 'msg_3 1'])
  assert.ok(s.notes().indexOf('msg_2 1') < s.notes().indexOf('msg_1 1'), 'another object does not wait')
})

test('an idle receiver sleeps, also while jobs wait for their time; a retry by hand wakes it', async t => {
  const s = spooling(t, '[ -e go ]')
  const preset = process.env.XH_PRESET === 'tsan' ? 'release' : undefined // ThreadSanitizer has a thread that ticks
  const before = await s.start(['--retry', '0'], { preset })
  await numbered(before, 0)
  await until('one has failed', async () => (await spoolList(s.folder, '--failed')).length === 1)
  await before.stop()
  const r = await s.start(['--retry-wait', '1h', '--forward', 'http://127.0.0.1:9/'], { preset })
  await numbered(r, 1)
  await until('two wait for their next attempt', async () => (await spoolList(s.folder)).filter(job => job.nextAt > Date.now()).length === 2)
  await until('2 s of sleep', async () => {
    const had = r.process.wakeUps()
    await new Promise(resolve => setTimeout(resolve, 2000))
    return r.process.wakeUps() - had <= 1
  })
  s.touch('go')
  assert.equal((await spool(s.folder, 'retry', 'msg_0')).stdout, '1 made due now\n')
  await until('it ran', () => s.notes().length === 3)
  assert.deepEqual(s.notes(), ['msg_0 1', 'msg_1 1', 'msg_0 1'])
})

test('--serial: a job that is retried by hand while another one of its object runs comes next, and each once', async t => {
  const s = spooling(t, `[ -e good ] || exit 1\n${GATE}`, { args: ['--serial', '--retry', '0'] })
  const r = await s.start()
  await numbered(r, 0)
  await r.line('the end of the first', line => /failed for good/.test(line.outcome))
  await until('it is kept', async () => (await spoolList(s.folder, '--failed')).length === 1)
  s.touch('good')
  for (let i = 1; i < 4; i++) await numbered(r, i)
  await until('the second runs', () => s.notes().length === 2)
  assert.equal((await spool(s.folder, 'retry')).stdout, '1 made due now\n')
  await r.post(event('vm.start', 'post', { params: { id: 'another' } }), { 'webhook-id': 'other' })
  await until('another object runs', () => s.notes().length === 3)
  s.touch('go')
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes(), ['msg_0 1', 'msg_1 1', 'other 1', 'msg_0 1', 'msg_2 1', 'msg_3 1'])
})

test('--wait with a spool: the answer is the outcome, and what failed is tried again by itself', async t => {
  const s = spooling(t, 'echo attempt "$XO_ATTEMPT"; [ -e go ]', { args: ['--wait', '--retry', '20', '--retry-wait', '40ms'] })
  const r = await s.start()
  const failed = await numbered(r, 0)
  assert.equal(failed.status, 500)
  assert.deepEqual([failed.json.error, failed.json.output, failed.json.spooled], ['default-post.sh: exit status 1', ['attempt 1'], true])
  const early = await numbered(r, 0)
  assert.equal(early.status, 503)
  assert.match(early.json.error, /still being worked on/)
  s.touch('go')
  await repeatIsDone(r, 0)
  await spoolEmpty(s.folder)
  assert.equal((await numbered(r, 1)).status, 200)
  await spoolEmpty(s.folder)
})

test('--wait with a spool and --forward: a repeat is told 503 until all of it is done, and nothing of it runs twice', async t => {
  const answers = [500, 200]
  const target = await httpTarget(t, (request, res) => {
    res.statusCode = answers.shift()
    res.end()
  })
  const s = spooling(t, '[ -e go ]', { args: ['--wait', '--retry', '100', '--retry-wait', '50ms', '--forward', target.url] })
  let r = await s.start()
  assert.equal((await numbered(r, 0)).status, 500)
  assert.equal((await numbered(r, 0)).status, 503, 'both wait for the next attempt')
  await until('it was passed on', async () => (await spoolList(s.folder)).length === 1)
  assert.equal((await numbered(r, 0)).status, 503, 'the script still fails')
  await r.stop('SIGKILL')
  r = await s.start()
  assert.equal((await numbered(r, 0)).status, 503, 'also after a restart')
  s.touch('go')
  await repeatIsDone(r, 0)
  await spoolEmpty(s.folder)
  assert.equal(target.requests.length, 2)
  const attempts = s.notes().map(note => Number(note.split(' ')[1]))
  assert.deepEqual([...attempts].sort((a, b) => a - b), attempts, 'one job, tried again and again')
})

test('--wait with a spool and --forward: the last job to end well does not hide one that failed', async t => {
  const held = []
  const target = await httpTarget(t, (request, res) => held.push(res))
  const s = spooling(t, 'exit 1', { args: ['--wait', '--retry-wait', '1h', '--forward', target.url] })
  const r = await s.start()
  const first = numbered(r, 0)
  await target.next()
  await until('the script has failed', async () => (await spoolList(s.folder)).some(job => job.attempts === 1))
  held.forEach(res => res.end())
  assert.equal((await first).status, 500)
  assert.equal((await numbered(r, 0)).status, 503)
  assert.deepEqual(s.notes(), ['msg_0 1'])
})

test('a backlog of large events keeps no request out, and is not all in memory', async t => {
  const s = spooling(t, GATE, { args: ['--jobs', '1'] })
  const pad = 'x'.repeat(3_000_000)
  const before = await s.start()
  for (let i = 0; i < 12; i++) assert.equal((await numbered(before, i, { pad })).status, 202)
  await before.stop('SIGKILL')
  const had = s.notes().length
  const r = await s.start(['--memory-cap', '16M'])
  await until('the first runs again', () => s.notes().length > had)
  for (let i = 12; i < 20; i++) assert.equal((await numbered(r, i, { pad: i === 15 ? pad : '' })).status, 202)
  s.touch('go')
  await spoolEmpty(s.folder)
  assert.deepEqual(s.notes().slice(had), Array.from({ length: 20 }, (_, i) => `msg_${i} 1`), 'in order of arrival')
})

test('--wait with a spool, stopped while requests wait: each is answered, and kept', async t => {
  const s = spooling(t, GATE, { args: ['--wait', '--jobs', '1'] })
  const r = await s.start()
  const answers = [0, 1, 2].map(i => numbered(r, i))
  await until('all stored', async () => (await spoolList(s.folder).catch(() => [])).length === 3 && s.notes().length === 1)
  const ended = r.stop()
  await r.process.waitFor(/terminated: stopping/)
  s.touch('go')
  assert.deepEqual((await Promise.all(answers)).map(({ status }) => status).sort(), [200, 503, 503])
  assert.deepEqual(await ended, { code: 0, signal: null })
  assert.equal((await spoolList(s.folder)).length, 2)
})

test('--forward with a spool: a target that is down gets it later', async t => {
  const target = await httpTarget(t)
  const { port } = target
  await target.close()
  const folder = join(tempFolder(t), 'spool')
  const r = await listen(t, ['--no-scripts', '--spool', folder, '--retry-wait', '50ms', '--forward', `http://127.0.0.1:${port}/`])
  assert.equal((await send(t, r.url, [event('vm.start')])).delivered, 1)
  await r.line('a failed attempt', line => line.ok === false)
  await r.stop('SIGKILL')
  const back = await httpTarget(t, undefined, { port })
  await listen(t, ['--no-scripts', '--spool', folder, '--forward', back.url])
  assert.equal((await back.next()).json.method, 'vm.start')
  await spoolEmpty(folder)
})

for (const spooled of [true, false])
  test(`--forward ${spooled ? 'with' : 'without'} a spool: a target that never answers does not hold up the others`, async t => {
    const held = []
    const dead = await httpTarget(t, (request, res) => held.push(res))
    const good = await httpTarget(t)
    const spool = spooled ? ['--spool', join(tempFolder(t), 'spool')] : []
    const r = await listen(t, ['--no-scripts', ...spool, '--memory-cap', '6M', '--forward-timeout', '10m', '--forward', dead.url, '--forward', good.url])
    const pad = 'x'.repeat(100_000)
    for (let i = 0; i < 60; i++) assert.equal((await numbered(r, i, { pad })).status, 202)
    await good.count(60)
    await dead.count(spooled ? 1 : 16)
    assert.ok(held.length <= 16, `${held.length} at once`)
    const dropped = r.lines().filter(line => /not passed on: too much waits for this target/.test(line.outcome))
    assert.equal(dropped.length > 0, !spooled)
  })

test('a spool that cannot be used is said at the start', async t => {
  const file = join(tempFolder(t), 'file')
  writeFileSync(file, 'x')
  const damaged = tempFolder(t)
  writeFileSync(join(damaged, 'spool.db'), 'no database, '.repeat(1000))
  for (const folder of [file, '/proc/nowhere/spool', damaged]) {
    const { status, stderr } = await run(['listen', '--port', '0', '--no-scripts', '--spool', folder], { limitMs: 8000 })
    assert.equal(status, 3, stderr)
    assert.match(stderr, new RegExp(`the spool ${folder} can't be opened: `))
  }
})

test('a full disk: 503 with a time to come back, and it goes on when there is room', async t => {
  const s = spooling(t)
  // Files may not grow: to the program that is a disk that refuses.
  const r = await s.start([], { wrap: ['bash', '-c', 'trap "" XFSZ; exec "$@"', 'sh'] })
  const limit = async size => assert.equal((await run(['--pid', String(r.process.pid), `--fsize=${size}`], { command: 'prlimit' })).status, 0)
  assert.equal((await numbered(r, 'first')).status, 202)
  await limit('300000:')
  const pad = 'x'.repeat(50_000)
  const answers = []
  while (answers.at(-1)?.status !== 503 && answers.length < 50) answers.push(await numbered(r, answers.length, { pad }))
  const last = answers.at(-1)
  assert.equal(last.status, 503, 'the disk refused')
  assert.match(last.json.error, /can't be stored: .*try again later/)
  assert.equal(last.headers['retry-after'], '10')
  await r.process.waitFor(/the spool .* can't be used: .*; what can't be stored is answered 503/)
  await limit('unlimited:')
  assert.equal((await numbered(r, answers.length - 1, { pad })).status, 202, 'the same request, sent again')
  await r.process.waitFor(/the spool .* can be used again/)
  await spoolEmpty(s.folder)
  const ran = new Set(s.notes().map(note => note.split(' ')[0]))
  assert.deepEqual(answers.map((_, i) => `msg_${i}`).filter(id => !ran.has(id)), [], 'all that was answered 202 has run')
})

test('a spool that is deleted under a running receiver: 503, and it is said', async t => {
  const s = spooling(t, GATE)
  const r = await s.start()
  assert.equal((await numbered(r, 0)).status, 202)
  await until('it runs', () => s.notes().length === 1)
  renameSync(s.folder, `${s.folder}.away`)
  const refused = await numbered(r, 1)
  assert.equal(refused.status, 503)
  assert.match(refused.json.error, /can't be stored: the spool is gone; try again later/)
  await r.process.waitFor(/error .*the spool .* is gone: its spool\.db was deleted, moved or replaced/)
  s.touch('go')
  await spoolEmpty(`${s.folder}.away`)
  renameSync(`${s.folder}.away`, s.folder)
  assert.equal((await numbered(r, 1)).status, 202)
  await r.process.waitFor(/the spool .* can be used again/)
  await until('it has run', () => s.notes().length === 2)
  rmSync(s.folder, { recursive: true })
  assert.equal((await numbered(r, 2)).status, 503)
  assert.deepEqual(await r.stop(), { code: 0, signal: null })
})

test('what is shown of a spool steers no terminal and tells no secret', async t => {
  const s = spooling(t, `printf 'nul\\000behind\\nx\\033[31my\\302\\233z\\n'; exit 1`, { args: ['--retry', '0', '--retry-wait', '10ms', '--forward', 'http://user:pw@127.0.0.1:9/x?token=1'] })
  const r = await s.start()
  await r.post('{"type":"post","method":"vm.start","params":{"a":"\u009b31m\u007f"},\n "result":"ü"}', { 'webhook-id': 'msg_1' })
  await until('both failed', async () => (await spoolList(s.folder, '--failed')).length === 2)
  for (const args of [['list'], ['show', 'msg_1']]) {
    const { stdout } = await spool(s.folder, ...args)
    assert.match(stdout, /→ http:\/\/127\.0\.0\.1:9\/x {2}1 attempt/)
    assert.doesNotMatch(stdout, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|user:pw|token=1/)
  }
  assert.match((await spool(s.folder, 'show', 'msg_1')).stdout, /nul\?behind\nx\?\[31my\?z\n[^]*"a":"\?31m\?"},\n "result":"ü"/)
  const [ofScript] = await spoolList(s.folder)
  assert.equal(ofScript.output, 'nul\0behind\nx\x1b[31my\u009bz\n')
  assert.doesNotMatch(JSON.stringify(await spoolList(s.folder)), /user:pw|token=1/)
})

test('a spool has one receiver at a time', async t => {
  const s = spooling(t)
  const r = await s.start()
  const second = await run(['listen', '--port', '0', '--no-scripts', '--spool', s.folder], { limitMs: 8000 })
  assert.equal(second.status, 3)
  assert.match(second.stderr, /is in use by another receiver/)
  await r.stop('SIGKILL')
  const next = await s.start()
  assert.equal((await numbered(next, 1)).status, 202)
  await spoolEmpty(s.folder)
})

test('jobs for a URL that is not given any more stay, and that is said', async t => {
  const folder = join(tempFolder(t), 'spool')
  const r = await listen(t, ['--no-scripts', '--spool', folder, '--forward', 'http://127.0.0.1:9/'])
  assert.equal((await r.post(event('vm.start'))).status, 202)
  await r.stop()
  const other = await listen(t, ['--no-scripts', '--spool', folder, '--forward', 'http://127.0.0.1:9/other'])
  await other.process.waitFor(/the spool holds 1 waiting and 0 failed jobs/)
  await other.process.waitFor(/1 of those that wait are for scripts or a --forward that were not given now; they stay in the spool/)
  await other.stop()
  assert.equal((await spoolList(folder)).length, 1)
})

test('a stop waits for what is being passed on, which is then not sent again', async t => {
  const held = []
  const target = await httpTarget(t, (request, res) => held.push(res))
  const folder = join(tempFolder(t), 'spool')
  const r = await listen(t, ['--no-scripts', '--spool', folder, '--forward', target.url])
  assert.equal((await r.post(event('vm.start'))).status, 202)
  await target.next()
  const ended = r.stop()
  await r.process.waitFor(/terminated: stopping/)
  await until('a refused connection', () => r.post(event('vm.start')).then(() => false, () => true))
  held.forEach(res => res.end())
  assert.deepEqual(await ended, { code: 0, signal: null })
  assert.deepEqual(await spoolList(folder), [])
})
