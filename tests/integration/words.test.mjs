// What is said when something can't be used: what it is, where, and the status.
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, program, run, start, tempFolder, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

test('folders and files in each other’s place', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'file')
  const data = join(folder, 'data')
  const config = join(folder, 'hooks.json')
  writeFileSync(file, '')
  writeFileSync(config, '{"hooks":[]}')
  mkdirSync(join(folder, 'sub'))
  for (const [args, status, words] of [
    [['check', folder], 2, /it is a folder/],
    [['send', '--config', config, folder], 2, /it is a folder/],
    [['send', '--config', folder], 2, /it is a folder/],
    [['serve', '--data', file], 3, /not a folder/],
    [['serve', '--data', join(file, 'x')], 3, /not a folder/],
    [['serve', '--data', data, '--socket', join(folder, 'none', 'x.sock')], 3, /x\.sock can't be made: .*; there is no such folder/],
    [['serve', '--data', data, '--socket', file], 3, /; it is a file of another kind/],
    [['serve', '--data', data, '--socket', join(folder, 'sub')], 3, /; it is a folder/],
    [['serve', '--data', data, '--config', join(folder, 'none')], 2, /none: can't be read: not found[^]*the configuration can't be read/],
    [['serve', '--data', data, '--config', folder], 2, /it is a folder/],
    [['serve', '--data', data, '--allow-metadata', 'foo'], 2, /--allow-metadata foo: must be "all" or the address/],
    [['send', '--config', config, '--allow-metadata', '10.0.0.1'], 2, /--allow-metadata 10\.0\.0\.1: must be/],
    [['test', '--config', config, '--allow-metadata', ''], 2, /--allow-metadata : must be/],
    [['log', '--data', data + 'x'], 3, /there is no outbox/],
  ]) {
    const ended = await run(args)
    assert.match(ended.stderr, words, args.join(' '))
    assert.equal(ended.status, status, `${args.join(' ')}: ${ended.stderr}`)
  }
  writeFileSync(config, '{"hooks":7}')
  assert.equal((await run(['serve', '--data', data, '--config', config])).status, 1)
})

test('metadata addresses are taken however they are written', async t => {
  const config = join(tempFolder(t), 'hooks.json')
  writeFileSync(config, '{"hooks":[]}')
  const args = ['169.254.169.254', 'fd00:ec2:0:0::254', '::ffff:169.254.169.254', 'all'].flatMap(one => ['--allow-metadata', one])
  const { status, stderr } = await run(['send', '--config', config, ...args])
  assert.equal(status, 0, stderr)
})

test('the outbox of another user', { skip: process.getuid() !== 0 && 'needs root to be another user' }, async t => {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('*', 'post', target.url)])
  const copy = join(s.folder, 'xo-hooks')
  copyFileSync(program(), copy)
  chmodSync(s.folder, 0o755)
  for (const command of ['log', 'stats']) {
    const { status, stderr } = await run(['--reuid', '65534', '--clear-groups', copy, command, '--data', s.data], { command: 'setpriv' })
    assert.match(stderr, /can't be read: not permitted; ask as the user who runs serve, or as root/)
    assert.equal(status, 3)
  }
})

test('a closed standard input, output or error is an empty one', async t => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'hooks.json'), '{"hooks":[]}')
  for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
    const { status } = await run(['-c', `exec "$0" send --config hooks.json ${closed}`, program()], { command: '/bin/sh', cwd: folder })
    assert.equal(status, 0, closed)
  }
})

test('serve raises the limit of open files', async t => {
  const folder = tempFolder(t)
  const s = start(t, ['-c', 'ulimit -S -n 256; exec "$0" serve --data data', program()], { command: '/bin/sh', cwd: folder })
  await s.waitFor(/ serves, process /)
  assert.match(readFileSync(`/proc/${s.pid}/limits`, 'utf8'), /^Max open files +(1[5-9]|[2-9]\d)\d\d /m)
  const low = start(t, ['-c', 'ulimit -n 256; exec "$0" serve --data low', program()], { command: '/bin/sh', cwd: folder })
  await low.waitFor(/only 256 open files are allowed \(ulimit -n\): too few for/)
})

test('stats names targets that were not used yet, and hooks that a 410 has stopped', async t => {
  const target = await httpTarget(t, (request, res) => res.writeHead(request.url === '/gone' ? 410 : 200).end())
  const hooks = [hook('*', 'post', target.url + 'gone', { name: 'Old' }), hook('vm.never', 'post', target.url + 'never')]
  const s = await serve(t, hooks)
  const source = await s.source()
  source.send({ event: event('vm.start') })
  await s.settled('dead', 1)
  const told = await until('the stop is told', async () => {
    const stats = await s.json('stats')
    return stats.stopped.length && stats
  })
  assert.deepEqual(told.targets.map(({ url }) => url).sort(), [target.url + 'gone', target.url + 'never'])
  assert.deepEqual(told.stopped.map(({ source, hook }) => [source, hook]), [['local', 'Old']])
  assert.match((await s.command('stats')).stdout, /Stopped: their targets answered 410[^]*since .* Old {2}source local/)
  await s.stop('SIGTERM')
  const { stopped } = await s.json('stats')
  assert.deepEqual(stopped.map(({ source, hook }) => [source, hook]), [['local', 'Old']])
  assert.match((await s.command('stats')).stdout, /since .* Old {2}source local/)
})
