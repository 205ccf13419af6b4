// xo-hooks listen: which scripts run, with what, for how long, how many at once; --wait; --forward; the stop.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, root, tempFolder, until } from '../lib/program.mjs'
import { listen, scriptFolder, send, signed, spoolEmpty, writeScripts } from '../lib/receiver.mjs'
import { event } from '../lib/serve.mjs'

const SAY = '#!/bin/sh\necho "${0##*/}"\n'

// Each script that ran, as the outcome lines say (--verbose prints one for each).
const outcomes = r => r.lines().filter(line => line.outcome !== undefined)

test('the order of the look-up', async t => {
  const scripts = scriptFolder(t, {
    'vm.start-post.sh': SAY, 'vm.start-post.py': SAY, 'vm.start-post.d/01-x': SAY,
    'vm.stop-post.py': SAY, 'vm.stop-post.rb': SAY, 'vm.stop-post.sh!': SAY, 'vm.stop-post.bak~': SAY,
    'vm.copy-post': SAY,
    'vm.clone-post.d/02-cmdb': SAY, 'vm.clone-post.d/01-dhcp': SAY, 'vm.clone-post.d/10-last.sh': SAY, 'vm.clone-post.d/03-off!': SAY, 'vm.clone-post.d/.hidden': SAY, 'vm.clone-post.d/04-x~': SAY,
    'vm.reset-pre.sh': SAY,
    'default-post.sh': SAY, 'default-pre.d/1': SAY,
    'barred-post.sh!': SAY,
  })
  const r = await listen(t, ['--scripts', scripts, '--verbose', '--wait'])
  const ran = async (method, type = 'post', count = 1) => {
    const before = outcomes(r).length
    const { status } = await r.post(event(method, type))
    await r.process.waitUntil('its lines are printed', () => outcomes(r).length >= before + count)
    return [status, ...outcomes(r).slice(before).map(line => line.script)]
  }
  assert.deepEqual(await ran('vm.start'), [200, 'vm.start-post.sh'])
  assert.deepEqual(await ran('vm.stop'), [200, 'vm.stop-post.py'])
  assert.deepEqual(await ran('vm.copy'), [200, 'vm.copy-post'])
  assert.deepEqual(await ran('vm.clone', 'post', 3), [200, 'vm.clone-post.d/01-dhcp', 'vm.clone-post.d/02-cmdb', 'vm.clone-post.d/10-last.sh'])
  assert.deepEqual(await ran('vm.reset', 'pre'), [200, 'vm.reset-pre.sh'])
  assert.deepEqual(await ran('vm.reset'), [200, 'default-post.sh'])
  assert.deepEqual(await ran('vm.start', 'pre'), [200, 'default-pre.d/1'])
  assert.deepEqual(await ran('barred'), [500, 'barred-post'])
  assert.match(outcomes(r).at(-1).outcome, /barred-post\.sh is not executable: chmod \+x/)
  assert.deepEqual(await ran('..'), [200, 'default-post.sh'])
  assert.deepEqual(await ran('$HOME'), [200, 'default-post.sh'], 'no shell sees the name')
  writeScripts(scripts, { 'vm.reset-post': SAY })
  assert.deepEqual(await ran('vm.reset'), [200, 'vm.reset-post'], 'a new script counts at once')
})

test('folders of scripts are looked for each time anew', async t => {
  const r = await listen(t, ['--wait', '--verbose'])
  await r.process.waitFor(/no scripts are run as long as there is no folder .*\/hook-scripts/)
  assert.deepEqual((await r.post(event('vm.start'), { 'webhook-id': '1' })).json, { ok: true, delivery: '1' })
  writeScripts(join(r.cwd, 'hook-scripts'), { 'vm.start-post.sh': SAY })
  assert.equal((await r.post(event('vm.start'))).status, 200)
  await r.line('the new script', line => line.script === 'vm.start-post.sh' && line.ok)
  const later = await listen(t, ['--wait'], { cwd: r.cwd })
  await later.process.waitFor(/scripts in /)
  rmSync(join(r.cwd, 'hook-scripts'), { recursive: true })
  assert.equal((await later.post(event('vm.start'))).status, 500, 'it was there, and is missed')
  const [old, current] = [scriptFolder(t, { 'vm.start-post.one': SAY }), scriptFolder(t, { 'vm.start-post.two': SAY })]
  const link = join(tempFolder(t), 'link')
  symlinkSync(old, link)
  const named = await listen(t, ['--wait', '--verbose', '--scripts', link])
  assert.equal((await named.post(event('vm.start'))).status, 200)
  await named.line('the old one', line => line.script === 'vm.start-post.one')
  rmSync(link)
  const { status, json } = await named.post(event('vm.start'))
  assert.equal(status, 500)
  assert.match(json.error, /the folder of scripts .*\/link can't be opened: No such file/)
  symlinkSync(current, link)
  assert.equal((await named.post(event('vm.start'))).status, 200)
  await named.line('the new one', line => line.script === 'vm.start-post.two')
})

test('event on standard input, XO_ variables, a clean environment, the working folder', async t => {
  const scripts = scriptFolder(t, { 'default-post.sh': '#!/bin/sh\ncat >event\nenv >env\npwd -P >pwd\nls -l /proc/self/fd >fds\ngrep SigIgn /proc/self/status >signals\necho "$0" >self\n' })
  const workdir = tempFolder(t)
  const r = await listen(t, ['--scripts', scripts, '--workdir', workdir, '--wait', '--pass-env', 'MINE', '--pass-env', 'ABSENT'], {
    env: { MINE: 'a b', HIDDEN: 'secret', HOME: '/home/x' },
  })
  const failed = { ...event('vm.start'), userIp: '::1', params: { id: '67aac198', name: 'zoë "x" $(id) `id`\n2' }, result: undefined, error: { code: 3, message: 'no; such' } }
  const text = JSON.stringify(failed, null, 2)
  assert.equal((await r.post(text, { 'webhook-id': 'msg_1' })).status, 200)
  const read = name => readFileSync(join(workdir, name), 'utf8')
  assert.equal(read('event'), text)
  assert.equal(read('pwd').trim(), workdir)
  assert.equal(read('self').trim(), join(scripts, 'default-post.sh'))
  const env = Object.fromEntries(read('env').trim().split('\n').map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  for (const name of ['PWD', 'OLDPWD', 'SHLVL', '_']) delete env[name] // the shell's own
  assert.deepEqual(env, {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/home/x', LANG: 'C.UTF-8', MINE: 'a b',
    XO_METHOD: 'vm.start', XO_TYPE: 'post', XO_CALL_ID: 'c1', XO_USER_ID: 'u1', XO_USER_NAME: 'admin@admin.net', XO_USER_IP: '::1',
    XO_TIMESTAMP: String(failed.timestamp), XO_DURATION: '2', XO_OBJECT_ID: '67aac198', XO_SUCCESS: 'false', XO_ERROR_CODE: '3',
    XO_ERROR_MESSAGE: 'no; such', XO_DELIVERY_ID: 'msg_1', XO_ATTEMPT: '1',
  })
  const ignored = BigInt(`0x${read('signals').match(/^SigIgn:\s+(\w+)$/m)[1]}`) & 0x7fffffffn // but for two that the C library keeps to itself
  assert.equal(ignored, 0n, 'what the receiver ignores is not ignored by scripts')
  const open = read('fds').trim().split('\n').slice(1).map(line => line.match(/ (\d+) -> /)?.[1]).filter(Boolean)
  assert.ok(open.every(fd => Number(fd) <= 3), `only 0, 1, 2 (and ls's own) are open: ${open}`)
  assert.equal((await r.post(event('vm.start'))).status, 200)
  assert.match(read('env'), /^XO_SUCCESS=true$/m)
})

test('the script of a CloudEvent gets the event, a card runs none', async t => {
  const scripts = scriptFolder(t, { 'vm.start-post.sh': '#!/bin/sh\ncat >event\n', 'default-post.sh': '#!/bin/sh\ntouch ran\n' })
  const r = await listen(t, ['--scripts', scripts, '--wait'])
  assert.equal((await send(t, r.url, [event('vm.start')], {}, { format: 'cloudevents' })).delivered, 1)
  assert.equal(JSON.parse(readFileSync(join(r.cwd, 'event'))).method, 'vm.start')
  assert.equal((await send(t, r.url, [event('vm.start')], {}, { format: 'teams' })).delivered, 1)
  assert.equal(existsSync(join(r.cwd, 'ran')), false)
})

test('output goes to the log with the delivery; --wait answers 200, or 5xx with the last lines', async t => {
  const scripts = scriptFolder(t, {
    'good-post.sh': '#!/bin/sh\necho one\necho two >&2\nprintf three\n',
    'bad-post.sh': '#!/bin/sh\nseq 1 5000\necho the last line\nexit 3\n',
    'killed-post.sh': '#!/bin/sh\nkill -9 $$\n',
    'text-post.sh': 'echo no interpreter\n',
    'missing-post.sh': '#!/nonexistent/interpreter -x\n',
    'windows-post.sh': '#!/bin/sh\r\necho x\r\n',
    'long-post.sh': '#!/bin/sh\nprintf "%05000d\\n" 7\nprintf "\\033[31m\\377\\n"\n',
    'accents-post.sh': '#!/bin/sh\n{ printf x; yes 😀é | head -n 1500 | tr -d "\\n"; } && exit 1\n',
    'flood-post.sh': '#!/bin/sh\nyes 0123456789 | head -c 3000000\n',
  })
  const r = await listen(t, ['--scripts', scripts, '--wait'])
  const answer = async (method, id = `msg_${method}`) => r.post(event(method), { 'webhook-id': id })
  const output = (id, count) => r.count(`lines of ${id}`, line => line.delivery === id && line.output !== undefined, count)
  const good = await answer('good')
  assert.deepEqual([good.status, good.json], [200, { ok: true, delivery: 'msg_good' }])
  assert.deepEqual((await output('msg_good', 3)).map(line => [line.script, line.output]), [['good-post.sh', 'one'], ['good-post.sh', 'two'], ['good-post.sh', 'three']])
  const bad = await answer('bad')
  assert.equal(bad.status, 500)
  assert.equal(bad.json.error, 'bad-post.sh: exit status 3')
  assert.deepEqual(bad.json.output.slice(-2), ['5000', 'the last line'])
  assert.ok(bad.text.length < 5000)
  await output('msg_bad', 5001)
  assert.match((await answer('killed')).json.error, /ended by signal 9/)
  assert.match((await answer('text')).json.error, /could not be started: .*its first line must name an interpreter/)
  assert.match((await answer('missing')).json.error, /could not be started: the interpreter that its first line names, \/nonexistent\/interpreter: No such file/)
  assert.match((await answer('windows')).json.error, /could not be started: its first line ends with a carriage return/)
  assert.equal((await answer('none')).status, 200, 'no script: nothing failed')
  assert.equal((await answer('long')).status, 200)
  assert.deepEqual((await output('msg_long', 3)).map(line => line.output.length).slice(0, 2), [4096, 904])
  const accents = await answer('accents')
  const parts = (await output('msg_accents', 3)).map(line => line.output)
  assert.equal(parts.join(''), `x${'😀é'.repeat(1500)}`, 'long lines are cut between characters')
  assert.match(accents.json.output[0], /^[😀é]+$/u)
  assert.equal((await answer('flood')).status, 200)
  await r.line('what is dropped', line => line.delivery === 'msg_flood' && /more than 1 MiB of output: the rest is dropped/.test(line.output))
  const again = await answer('bad')
  assert.equal(again.status, 500, 'what failed runs again when it is sent again')
  assert.equal((await answer('good')).json.again, true)
})

test('a working folder that goes is named', async t => {
  const workdir = join(tempFolder(t), 'work')
  mkdirSync(workdir)
  const r = await listen(t, ['--scripts', scriptFolder(t, { 'default-post.sh': SAY }), '--workdir', workdir, '--wait'])
  assert.equal((await r.post(event('vm.start'))).status, 200)
  rmSync(workdir, { recursive: true })
  const { status, json } = await r.post(event('vm.start'))
  assert.equal(status, 500)
  assert.match(json.error, /could not be started: the working folder .*\/work: No such file/)
})

test('waitForResponse hooks get the outcome through --wait', async t => {
  const scripts = scriptFolder(t, { 'vm.start-pre.sh': '#!/bin/sh\n[ "$XO_USER_NAME" = admin@admin.net ] || { echo not for you; exit 1; }\n' })
  const r = await listen(t, ['--scripts', scripts, '--wait'])
  const sent = userName => send(t, r.url, [{ ...event('vm.start', 'pre'), userName }], {}, { waitForResponse: true })
  assert.equal((await sent('admin@admin.net')).delivered, 1)
  assert.equal((await sent('bob')).delivered, 0)
})

const alive = pid => {
  try {
    // A zombie that nobody has collected yet has ended, too.
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('the time limit ends the whole process group, also one that ignores SIGTERM', async t => {
  const scripts = scriptFolder(t, {
    'soft-post.sh': '#!/bin/sh\nsleep 1000 &\necho $! >soft\nsleep 1000 >/dev/null 2>&1 &\necho $! >>soft\nwait\n',
    'hard-post.sh': '#!/bin/sh\ntrap "" TERM\nsleep 1000 &\necho $! >hard\nwhile :; do wait; done\n',
  })
  const r = await listen(t, ['--scripts', scripts, '--wait', '--script-timeout', '300ms'])
  for (const method of ['soft', 'hard']) {
    const began = Date.now()
    const { status, json } = await r.post(event(method))
    assert.equal(status, 504)
    assert.match(json.error, new RegExp(`${method}-post\\.sh: ended: longer than .*--script-timeout`))
    assert.ok(Date.now() - began < 6000)
    for (const pid of readFileSync(join(r.cwd, method), 'utf8').trim().split('\n')) await until(`the end of ${pid}`, () => !alive(pid))
  }
})

test('what a script leaves in the background: it does not count as the script, and is ended when it holds the output', async t => {
  const scripts = scriptFolder(t, {
    'holding-post.sh': '#!/bin/sh\nsleep 1000 &\necho $! >holding\necho said\nexit ${XO_DURATION}\n',
    'deaf-post.sh': '#!/bin/sh\nsh -c \'trap "" TERM; touch deaf-ready; while :; do sleep 1; done\' &\necho $! >deaf\nuntil [ -e deaf-ready ]; do sleep 0.01; done\n',
    'quiet-post.sh': '#!/bin/sh\nsleep 1000 >/dev/null 2>&1 &\necho $! >quiet\n',
    'gone-post.sh': '#!/bin/sh\nsetsid sleep 1000 &\necho $! >gone\n',
    'last-post.sh': '#!/bin/sh\n(sleep 0.05; echo the last word) &\n',
  })
  const r = await listen(t, ['--scripts', scripts, '--wait', '--jobs', '1', '--script-timeout', '1h'])
  const pid = name => Number(readFileSync(join(r.cwd, name), 'utf8'))
  const asked = async (method, duration = 0) => r.post({ ...event(method), duration }, { 'webhook-id': `${method}${duration}` })
  assert.equal((await asked('holding')).status, 200)
  await until('its end', () => !alive(pid('holding')))
  await r.line('why', line => line.delivery === 'holding0' && line.ok && /exit status 0; what it left in the background was ended/.test(line.outcome))
  const failed = await asked('holding', 3)
  assert.equal(failed.status, 500)
  assert.match(failed.json.error, /exit status 3; what it left/)
  assert.deepEqual(failed.json.output, ['said'])
  assert.equal((await asked('deaf')).status, 200)
  await until('its end, by SIGKILL', () => !alive(pid('deaf')))
  assert.equal((await asked('quiet')).status, 200)
  assert.ok(alive(pid('quiet')), 'it had let go of the output')
  process.kill(pid('quiet'))
  assert.equal((await asked('gone')).status, 200)
  assert.ok(alive(pid('gone')), 'it had left the group')
  process.kill(pid('gone'))
  assert.equal((await asked('last')).status, 200)
  await r.line('what came within the grace', line => line.output === 'the last word')
  assert.deepEqual(await r.stop(), { code: 0, signal: null }, r.process.stderr.join('\n'))
})

// Scripts that say when they begin and wait for a file to go on.
const GATED = '#!/bin/sh\nid=$(echo "$XO_DELIVERY_ID")\ntouch "begun-$id"\nuntil [ -e "go-$id" ] || ! [ -e "$PWD" ]; do sleep 0.01; done\ntouch "ended-$id"\n'
const gate = r => ({
  begun: () => [...Array(20).keys()].filter(i => existsSync(join(r.cwd, `begun-${i}`))),
  go: (...ids) => ids.forEach(id => writeFileSync(join(r.cwd, `go-${id}`), '')),
  ended: id => existsSync(join(r.cwd, `ended-${id}`)),
})

test('at most so many at once, begun in order of arrival', async t => {
  const r = await listen(t, ['--scripts', scriptFolder(t, { 'default-post.sh': GATED }), '--jobs', '2'])
  const g = gate(r)
  for (let i = 0; i < 6; i++) assert.equal((await r.post(event('vm.start'), { 'webhook-id': String(i) })).status, 202)
  await until('two begun', () => g.begun().length === 2)
  assert.deepEqual(g.begun(), [0, 1])
  g.go(1)
  await until('a third', () => g.begun().length === 3)
  assert.deepEqual(g.begun(), [0, 1, 2])
  g.go(0, 2, 3, 4, 5)
  await until('all', () => [0, 1, 2, 3, 4, 5].every(i => g.ended(i)))
})

test('--serial: one at a time for each object, others meanwhile', async t => {
  const r = await listen(t, ['--scripts', scriptFolder(t, { 'default-post.sh': GATED }), '--serial', '--jobs', '10'])
  const g = gate(r)
  for (const [i, id] of ['a', 'a', 'b', 'a', 'b'].entries())
    await r.post({ ...event('vm.start'), params: { id } }, { 'webhook-id': String(i) })
  await until('one of each object', () => g.begun().length === 2)
  assert.deepEqual(g.begun(), [0, 2])
  g.go(0)
  await until('the next of a', () => g.begun().length === 3)
  assert.deepEqual(g.begun(), [0, 1, 2])
  g.go(1, 2, 3, 4)
  await until('all', () => [0, 1, 2, 3, 4].every(i => g.ended(i)))
})

test('the request that was verified goes on unchanged to every --forward', async t => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const [one, two] = [await httpTarget(t), await httpTarget(t)]
  const r = await listen(t, ['--no-scripts', '--secret', secret, '--forward', `${one.url}a?b=c`, '--forward', two.url])
  const text = `{ "type":"post", "method":"vm.start","params":{"n":12345678901234567890,"s":"\\ud800"},"pad":"${'ü'.repeat(100_000)}" }\n`
  const headers = { ...signed(secret, text), 'content-type': 'application/json; charset=utf-8', 'x-site': 'paris', 'x-empty': '', 'user-agent': 'mine/1', authorization: 'Bearer theirs' }
  assert.equal((await r.post(text, headers)).status, 202)
  for (const target of [one, two]) {
    const request = await target.next()
    assert.equal(request.text, text)
    for (const name of Object.keys(headers)) assert.equal(request.headers[name], headers[name], name)
    assert.equal(request.headers.expect, undefined)
    assert.equal(request.headers['transfer-encoding'], undefined)
  }
  assert.equal(one.requests[0].url, '/a?b=c')
  assert.equal((await r.post(text, { ...headers, 'webhook-signature': 'v1,x' })).status, 401)
  const card = '{"text":"a card"}'
  await r.post(card, signed(secret, card))
  assert.equal((await one.next()).text, card)
  assert.equal(one.requests.length, 2, 'what was refused is not passed on')
})

test('--forward adds no header, and leaves those out that Connection names', async t => {
  const target = await httpTarget(t)
  const r = await listen(t, ['--no-scripts', '--forward', target.url])
  await r.post(event('vm.start'), { connection: 'close, X-Hop ,x-other', 'x-hop': '1', 'x-other': '2', 'x-hopper': '3' })
  const { headers } = await target.next()
  assert.deepEqual(Object.keys(headers).sort(), ['content-length', 'content-type', 'host', 'x-hopper'])
})

test('our own bearer token is not passed on; a failing target is logged, and with --wait answered', async t => {
  let status = 200
  const target = await httpTarget(t, (request, res) => res.writeHead(status).end('sorry\n'))
  const r = await listen(t, ['--no-scripts', '--token', 'mine', '--wait', '--forward', `http://user:pw@127.0.0.1:${target.port}/x?secret=1`])
  const sent = () => r.post(event('vm.start'), { authorization: 'Bearer mine' })
  assert.equal((await sent()).status, 200)
  assert.doesNotMatch(String((await target.next()).headers.authorization), /mine/)
  status = 503
  const failed = await sent()
  assert.equal(failed.status, 500)
  assert.deepEqual([failed.json.error, failed.json.output], [`http://127.0.0.1:${target.port}/x: HTTP status 503`, ['sorry']])
  await r.line('the failure', line => line.ok === false && line.outcome === 'HTTP status 503')
  assert.doesNotMatch(r.process.said().replace(/^.*\n/, ''), /secret=1|user:pw/)
  await target.close()
  assert.match((await sent()).json.error, /refused|connect/i)
})

test('SIGTERM: what was taken is done and answered, new ones are not taken', async t => {
  const r = await listen(t, ['--scripts', scriptFolder(t, { 'default-post.sh': GATED }), '--wait', '--jobs', '1'])
  const g = gate(r)
  const answers = [0, 1].map(i => r.post(event('vm.start'), { 'webhook-id': String(i) }))
  await until('the first', () => g.begun().length === 1)
  const ended = r.stop()
  await r.process.waitFor(/terminated: stopping, running scripts come to their end/)
  await until('a refused connection', () => r.post(event('vm.start')).then(() => false, () => true))
  g.go(0, 1)
  assert.deepEqual((await Promise.all(answers)).map(({ status }) => status), [200, 200])
  assert.deepEqual(await ended, { code: 0, signal: null })
})

test('SIGHUP: a closed terminal stops it gently, also when told twice; nohup keeps it', async t => {
  const scripts = scriptFolder(t, { 'default-post.sh': GATED })
  const r = await listen(t, ['--scripts', scripts, '--wait'])
  const g = gate(r)
  const answer = r.post(event('vm.start'), { 'webhook-id': '0' })
  await until('the script', () => g.begun().length === 1)
  r.process.proc.kill('SIGHUP')
  await r.process.waitFor(/hung up: stopping, running scripts come to their end/)
  const ended = r.stop('SIGHUP')
  g.go(0)
  assert.equal((await answer).status, 200)
  assert.deepEqual(await ended, { code: 0, signal: null })
  const kept = await listen(t, ['--no-scripts'], { wrap: ['sh', '-c', 'trap "" HUP; exec "$0" "$@"'] })
  kept.process.proc.kill('SIGHUP')
  assert.equal((await kept.post(event('vm.start'))).status, 200)
  assert.deepEqual(await kept.stop(), { code: 0, signal: null })
})

test('--end-scripts, or a second signal: running scripts are ended, their requests answered', async t => {
  for (const [args, signals] of [[['--end-scripts'], 1], [[], 2]]) {
    const r = await listen(t, ['--scripts', scriptFolder(t, { 'default-post.sh': GATED }), '--wait', '--jobs', '1', ...args])
    const g = gate(r)
    const answers = [0, 1].map(i => r.post(event('vm.start'), { 'webhook-id': String(i) }))
    await until('the first', () => g.begun().length === 1)
    const ended = r.stop('SIGINT')
    if (signals === 2) {
      await r.process.waitFor(/interrupted: stopping/)
      r.process.proc.kill('SIGTERM')
    }
    const [first, second] = await Promise.all(answers)
    assert.equal(first.status, 500)
    assert.match(first.json.error, /ended by signal 15/)
    assert.equal(second.status, 503)
    assert.deepEqual(await ended, { code: 0, signal: null })
    assert.equal(g.ended(0), false)
  }
})

test('a target that answers after its sender was told of the stop', async t => {
  const held = []
  const target = await httpTarget(t, (request, res) => held.push(res))
  const r = await listen(t, ['--no-scripts', '--wait', '--forward', target.url], { preset: 'asan-ubsan' })
  const answer = r.post(event('vm.start'))
  await target.next()
  const slow = connect(r.port, '127.0.0.1') // keeps the receiver from ending at once
  slow.on('error', () => {})
  const begun = r.post(event('vm.start'))
  await target.next()
  slow.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{')
  assert.equal((await r.post('{"text":1}')).status, 422, 'what was sent before this has been read')
  const ended = r.stop()
  await r.process.waitFor(/terminated: stopping/)
  r.process.proc.kill('SIGTERM')
  assert.equal((await answer).status, 503)
  held.forEach(res => res.end())
  assert.equal((await begun).status, 503)
  assert.deepEqual(await ended, { code: 0, signal: null }, r.process.stderr.join('\n'))
  slow.destroy()
})

test('under load with sanitizers: nothing is found, nothing is lost', async t => {
  for (const preset of ['asan-ubsan', 'tsan']) {
    const target = await httpTarget(t)
    const spool = tempFolder(t)
    const scripts = scriptFolder(t, { 'default-post.sh': '#!/bin/sh\ncat >/dev/null\nexit $((XO_DURATION % 5 == 0 && XO_ATTEMPT < 2))\n' })
    const r = await listen(t, ['--scripts', scripts, '--spool', spool, '--serial', '--retry-wait', '50ms', '--verbose', '--forward', target.url], {
      preset, env: { ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1', TSAN_OPTIONS: `halt_on_error=1 suppressions=${join(root, 'tests/lib/tsan.supp')}` },
    })
    const N = 120
    const told = error => {
      throw new Error(`${error.message}\n${r.process.said()}`)
    }
    await Promise.all([...Array(8).keys()].map(async client => {
      for (let i = client; i < N; i += 8) {
        const { status } = await r.post({ ...event('vm.start'), duration: i, params: { id: i % 7 } })
        assert.equal(status, 202)
        if (i % 10 === 0) await r.post('{"bad', { 'content-type': i % 20 ? 'text/plain' : 'application/json' })
      }
    })).catch(told)
    const ok = line => line.ok === true && line.script === 'default-post.sh'
    await r.count('successes', ok, N, 60_000)
    await target.count(N, 60_000)
    await spoolEmpty(spool)
    assert.deepEqual(await r.stop(), { code: 0, signal: null }, r.process.stderr.join('\n'))
    assert.doesNotMatch(r.process.stderr.join('\n'), /Sanitizer|runtime error/)
    assert.equal(r.lines().filter(line => line.ok === false).length, N / 5)
  }
})
