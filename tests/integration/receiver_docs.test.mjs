// docs/receiving.md and docs/receivers: every receiver that the documentation shows takes real deliveries of xo-hooks and refuses what is
// not one; the systemd unit's command runs as it stands there.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

import { cleanUp, httpTarget, program, root, run, start, tempFolder, until } from '../lib/program.mjs'
import { post, send, signed } from '../lib/receiver.mjs'
import { event } from '../lib/serve.mjs'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const EARLIER = `whsec_${Buffer.alloc(64, 7).toString('base64')}` // as long as a secret may be
const STRANGE = `whsec_${Buffer.alloc(24, 9).toString('base64')}`

const receivers = {
  'receiver.mjs': ['node'],
  'receiver.py': ['python3'],
  'receiver.sh': ['bash'],
}

// A receiver as an administrator has it: the file in a folder of its own, with the library and the secret beside it.
async function startReceiver(t, name, change = text => text) {
  const folder = tempFolder(t)
  writeFileSync(join(folder, name), change(readFileSync(join(root, 'docs/receivers', name), 'utf8')))
  symlinkSync(join(root, 'tests/node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'secret'), `${SECRET}\n${EARLIER}\n`, { mode: 0o600 })
  const [command, ...args] = receivers[name]
  const process = start(t, [...args, join(folder, name)], { command, cwd: folder, env: { PORT: '0', SECRET_FILE: join(folder, 'secret') } })
  const [, port] = await process.waitFor(/listening on .*?(\d+)$/)
  const handled = () =>
    [...process.stdout, ...process.stderr].filter(line => line.startsWith('{')).map(line => JSON.parse(line))
  return { url: `http://127.0.0.1:${port}/`, process, handled }
}

// What xo-hooks sends, byte for byte: caught on its way by a target that keeps it.
async function realDelivery(t, body, passphrase) {
  const target = await httpTarget(t)
  assert.equal((await send(t, target.url, [body], { passphrase })).delivered, 1)
  const { body: bytes, headers } = await target.next()
  const kept = Object.entries(headers).filter(([name]) => name.startsWith('webhook-') || name === 'content-type')
  return { bytes, headers: Object.fromEntries(kept) }
}

for (const name of Object.keys(receivers)) {
  test(`docs/receivers/${name}: takes what xo-hooks signed`, async t => {
    const r = await startReceiver(t, name)
    const events = [
      event('vm.start', 'pre'),
      event('user.create', 'post', { userName: 'zoë "x" $(id) `id` \\ \u0001 %s', params: { n: [1, null], at: '\u2028😀' } }),
      event('vm.stop', 'post', { result: undefined, error: { message: 'no such object' }, pad: 'x'.repeat(300_000) }),
    ]
    for (const passphrase of [SECRET, EARLIER]) assert.equal((await send(t, r.url, events, { passphrase })).delivered, events.length)
    await r.process.waitUntil('a line for each', () => r.handled().length === 2 * events.length)
    const told = list => list.map(({ method, type, userName, params }) => JSON.stringify([method, type, userName, params])).sort()
    assert.deepEqual(told(r.handled()), told([...events, ...events]))
  })

  test(`docs/receivers/${name}: refuses a wrong secret, a changed body, a swapped id, an old timestamp, and what is not signed`, async t => {
    const r = await startReceiver(t, name)
    assert.equal((await send(t, r.url, [event('vm.start')], { passphrase: STRANGE })).delivered, 0)
    assert.equal((await send(t, r.url, [event('vm.start')])).delivered, 0)
    const { bytes, headers } = await realDelivery(t, event('vm.start'), SECRET)
    const status = async (changed, sent = bytes, more) => (await post(r.url, sent, { ...headers, ...changed }, more)).status
    const changed = Buffer.from(bytes)
    changed[changed.indexOf('vm.start')] ^= 1
    assert.equal(await status({}, changed), 401, 'a changed byte')
    assert.equal(await status({}, Buffer.concat([bytes, Buffer.from('\n')])), 401, 'a byte more')
    assert.equal(await status({ 'webhook-id': 'msg_other' }), 401, 'another id')
    const now = Math.floor(Date.now() / 1000)
    for (const at of [now - 310, now + 310]) {
      assert.equal(await status({ 'webhook-timestamp': String(at) }), 401, 'another timestamp')
      assert.equal(await status(signed(SECRET, bytes, { at })), 401, 'an old timestamp, well signed')
    }
    for (const timestamp of ['soon', '-1', '', '1'.repeat(5000)]) assert.equal(await status({ 'webhook-timestamp': timestamp }), 401, `timestamp ${timestamp}`)
    for (const signature of ['', 'v1,', 'v1', headers['webhook-signature'].slice(0, -2), headers['webhook-signature'].replace('v1,', 'v1a,'), headers['webhook-signature'].slice(3)])
      assert.equal(await status({ 'webhook-signature': signature }), 401, `signature ${signature}`)
    for (const missing of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
      const rest = { ...headers }
      delete rest[missing]
      assert.equal((await post(r.url, bytes, rest)).status, 401, `without ${missing}`)
    }
    assert.ok([405, 501].includes(await status({}, '', { method: 'GET' })))
    assert.deepEqual(r.handled(), [], 'nothing of that was worked on')
    assert.equal(await status({}), 200, 'the delivery itself')
    assert.equal(await status({ 'webhook-signature': `v1,${'A'.repeat(43)}= ${headers['webhook-signature']}` }), 200, 'one of several signatures')
    assert.equal(r.handled().length, name === 'receiver.sh' ? 2 : 1, 'those that remember ids work once on a repetition')
    assert.ok(!r.process.said().includes(SECRET.slice(6)), 'the secret is told to nobody')
  })
}

test('docs/receivers/receiver.py: a delivery that is being worked on is not worked on beside that', async t => {
  const folder = tempFolder(t)
  const r = await startReceiver(t, 'receiver.py', text =>
    text.replace(/(    """Yours.*\n)/, `$1    open("${folder}/begun", "a").write("x")\n    while not os.path.exists("${folder}/go"): time.sleep(0.01)\n`)
  )
  const body = JSON.stringify(event('vm.start'))
  const headers = signed(SECRET, body)
  const first = post(r.url, body, headers)
  await until('it is worked on', () => existsSync(join(folder, 'begun')))
  assert.equal((await post(r.url, body, headers)).status, 503)
  writeFileSync(join(folder, 'go'), '')
  assert.equal((await first).status, 200)
  assert.equal((await post(r.url, body, headers)).status, 200)
  assert.equal(readFileSync(join(folder, 'begun'), 'utf8'), 'x', 'once')
})

test('docs/receivers/receiver.sh: clients that send a line now and then do not hold it up', async t => {
  const r = await startReceiver(t, 'receiver.sh', text => text.replace('HEAD_LIMIT_S=10', 'HEAD_LIMIT_S=2'))
  const slow = Array.from({ length: 20 }, () => connect(new URL(r.url).port, '127.0.0.1'))
  for (const socket of slow) {
    socket.write('POST / HTTP/1.1\r\n')
    const timer = setInterval(() => socket.write('X: y\r\n'), 100)
    socket.on('error', () => {})
    socket.on('close', () => clearInterval(timer))
    socket.resume()
  }
  cleanUp(t, () => slow.forEach(socket => socket.destroy()))
  assert.equal((await send(t, r.url, [event('vm.start')], { passphrase: SECRET })).delivered, 1)
  await until('they are closed', () => slow.every(socket => socket.destroyed))
})

const guide = readFileSync(join(root, 'docs/receiving.md'), 'utf8')
const blocks = [...guide.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }))

test('receiving.md: the first minute goes as it stands there, on a terminal', async t => {
  const [make, ask, shown] = blocks
  assert.deepEqual([make.language, ask.language, shown.language], ['sh', 'sh', ''])
  const env = { PATH: `${dirname(program())}:${process.env.PATH}`, TERM: 'dumb', NO_COLOR: '1' }
  const commands = `set -e\n${make.text.replace('--port 3000', '--port 0').replace(/^xo-hooks/m, 'exec xo-hooks')}`
  const r = start(t, ['-qefc', commands, '/dev/null'], { command: 'script', cwd: tempFolder(t), env: { ...env, SHELL: '/bin/bash' } })
  const [, port] = await r.waitFor(/listening on http:\/\/127\.0\.0\.1:(\d+)/)
  const asked = await run(['-c', ask.text.replace('127.0.0.1:3000', `127.0.0.1:${port}`)], { command: 'bash', env })
  assert.equal(asked.status, 0, asked.stderr)
  const [event, output] = shown.text.trim().split('\n')
  await r.waitFor(new RegExp(`^${event.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\r?$`))
  await r.waitFor(new RegExp(`^\\S+Z req_[0-9a-f]{8}1 ${output.split(' ').slice(2).join(' ')}\r?$`))
})

test('receiving.md: every option exists', async () => {
  const helps = await Promise.all([['listen'], ['spool']].map(async ([name]) => (await run([name, '--help'])).stdout))
  const options = new Set([...guide.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map(([option]) => option))
  const others = ['--now'] // of systemctl
  assert.ok(options.size > 20)
  assert.deepEqual([...options].filter(option => !others.includes(option) && !helps.some(help => help.includes(option))), [])
  for (const file of readdirSync(join(root, 'docs/receivers'))) assert.ok(guide.includes(`(receivers/${file})`), `${file} is linked`)
})

test('the systemd unit: its command takes a signed delivery and runs its script', async t => {
  const unit = join(root, 'docs/receivers/xo-hooks-listen.service')
  const text = readFileSync(unit, 'utf8').replace(/\\\n\s*/g, '')
  const [, command] = text.match(/^ExecStart=(.*)$/m)
  const [etc, credentials, state] = [tempFolder(t), tempFolder(t), tempFolder(t)]
  mkdirSync(join(etc, 'hook-scripts'))
  writeFileSync(join(etc, 'hook-scripts/vm.start-post.sh'), '#!/bin/sh\npwd -P\n', { mode: 0o755 })
  const [, name] = text.match(/^LoadCredential=(\w+):\/etc\/xo-hooks\/secret$/m)
  writeFileSync(join(credentials, name), `${SECRET}\n`)
  const args = command.replace('--port 3000', '--port 0').replaceAll('/etc/xo-hooks', etc).replaceAll('${CREDENTIALS_DIRECTORY}', credentials).replaceAll('${STATE_DIRECTORY}', state).split(' ')
  assert.equal(args[0], '/usr/bin/xo-hooks')
  const r = start(t, args.slice(1))
  const [, port] = await r.waitFor(/listening on http:\/\/0\.0\.0\.0:(\d+)/)
  const url = `http://127.0.0.1:${port}/`
  assert.equal((await send(t, url, [event('vm.start')], { passphrase: SECRET })).delivered, 1)
  assert.equal((await send(t, url, [event('vm.start')], { passphrase: STRANGE })).delivered, 0)
  await r.waitUntil('the output', () => r.stdout.some(line => JSON.parse(line).output === state))
  assert.deepEqual(readdirSync(state), ['spool'])
  assert.deepEqual(await r.stop(), { code: 0, signal: null })
  const copy = join(etc, 'xo-hooks-listen.service')
  writeFileSync(copy, readFileSync(unit, 'utf8').replace('/usr/bin/xo-hooks', program()))
  const verified = await run(['verify', '--man=no', copy], { command: 'systemd-analyze' })
  assert.deepEqual([verified.status, verified.stderr], [0, ''])
})
