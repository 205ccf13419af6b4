// `xo-hooks install` and `uninstall`: into a host built from sources and into a packaged one, which then finds what was put there.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, program, run, tempFolder } from '../lib/program.mjs'
import { hook, pluginFolder, startHost } from './helpers.mjs'

const VM = '67aac198-0174-11ea-8d71-362b9e155667'

const LAYOUTS = {
  sources: { server: ['packages', 'xo-server'], stock: ['packages', 'xo-server-web-hooks'], given: [] },
  packaged: { server: ['node_modules', 'xo-server'], stock: ['node_modules', 'xo-server-web-hooks'], given: ['node_modules', 'xo-server'] },
}

function makePackage(folder, name, main = '') {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version: '0.4.0', main: 'index.js' }))
  writeFileSync(join(folder, 'index.js'), main)
}

// A stock plugin that takes any configuration and does nothing.
const STOCK = `module.exports = () => ({ configure() {}, load() {}, unload() {} })
module.exports.configurationSchema = { type: 'object', properties: { hooks: { type: 'array' } }, required: ['hooks'] }`

function xoServer(t, { server, stock, given }) {
  const base = tempFolder(t, 'xo-server-')
  const folder = join(base, ...server)
  makePackage(folder, 'xo-server')
  makePackage(join(base, ...stock), 'xo-server-web-hooks', STOCK)
  return { base, folder, given: join(base, ...given), plugin: join(folder, 'node_modules', 'xo-server-web-hooks'), dataFolder: join(base, 'data') }
}

// Names and contents, and the times of the files: what did not change has not been written either.
function snapshot(folder) {
  return execFileSync('find', [folder, '-printf', '%P %y %s %T@ %i\n'], { encoding: 'utf8' })
}

const command = async (name, { given }, ...more) => {
  const { status, stdout, stderr } = await run([name, '--xo-server', given, ...more])
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

for (const [name, layout] of Object.entries(LAYOUTS))
  test(`a host of ${name}: installed, loaded instead of the stock plugin with its configuration, and taken out again`, async t => {
    const target = await httpTarget(t)
    const xo = xoServer(t, layout)
    const before = snapshot(xo.base)
    const host = await startHost(t, { ...xo, hooks: undefined })
    await host.configure([hook('vm.start', 'post', target.url)])
    assert.equal((await host.plugin()).version, '0.4.0')
    await host.stop()

    assert.match(await command('install', xo, '--dry-run'), /would be installed/)
    assert.ok(!existsSync(xo.plugin))
    const said = await command('install', xo)
    assert.match(said, /stock plugin +0\.4\.0 in .*: not touched/)
    assert.match(said, /Next: restart xo-server/)
    const installed = snapshot(xo.plugin)
    assert.match(await command('install', xo), /nothing changed/)
    assert.equal(snapshot(xo.plugin), installed)

    const again = await startHost(t, xo)
    await again.connected()
    const { version, loaded, configuration } = await again.plugin()
    assert.deepEqual([loaded, configuration.hooks.length], [true, 1])
    assert.equal(version, JSON.parse(readFileSync(join(xo.plugin, 'package.json'))).version)
    assert.match((await run(['--version'])).stdout, new RegExp(`\\b${version.replaceAll('.', '\\.')}\\b`))
    await again.call('vm.start', { id: VM })
    await target.next()
    await again.stop()

    assert.match(await command('uninstall', xo), /removed from[^]*stock plugin +0\.4\.0/)
    const kept = text => text.split('\n').filter(line => line !== '' && !line.startsWith('data') && !/^(packages|node_modules)\/xo-server d|^ d/.test(line)).join('\n')
    assert.equal(kept(snapshot(xo.base)), kept(before))
    assert.match(await command('uninstall', xo), /nothing changed/)
    const last = await startHost(t, xo)
    assert.equal((await last.plugin()).version, '0.4.0')
  })

test('an older version and a link that leads nowhere are replaced; a plugin of somebody else is not', async t => {
  const xo = xoServer(t, LAYOUTS.sources)
  await command('install', xo)
  const file = join(xo.plugin, 'package.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"version": ".*"/, '"version": "0.0.1"'))
  writeFileSync(join(xo.plugin, 'lib', 'left-over.js'), '')
  assert.match(await command('install', xo), /installed in .*, instead of 0\.0\.1/)
  assert.ok(!existsSync(join(xo.plugin, 'lib', 'left-over.js')))
  assert.deepEqual(readdirSync(join(xo.folder, 'node_modules')), ['xo-server-web-hooks'], 'nothing lies about')

  await command('uninstall', xo)
  mkdirSync(join(xo.folder, 'node_modules'))
  symlinkSync('/nonexistent/plugin', xo.plugin)
  assert.match(await command('install', xo), /instead of a link that leads nowhere/)
  await command('uninstall', xo)

  const foreign = join(xo.folder, 'node_modules', '@xen-orchestra', 'server-web-hooks')
  makePackage(foreign, 'xo-server-web-hooks', STOCK)
  const { status, stderr } = await run(['install', '--xo-server', xo.given])
  assert.equal(status, 1)
  assert.match(stderr, /another plugin of that name, which the host takes before any other/)
  assert.ok(existsSync(foreign))
})

// The names beside the plugin's place.
const lying = xo => readdirSync(join(xo.folder, 'node_modules')).sort()

test('what an interrupted run has left is mended or removed, and hides the stock plugin no longer', async t => {
  const xo = xoServer(t, LAYOUTS.sources)
  const leave = name => cpSync(pluginFolder(), join(xo.folder, 'node_modules', name), { recursive: true })
  for (const name of ['.xo-server-web-hooks.new', '.xo-server-web-hooks.old']) leave(name)
  assert.match(await command('uninstall', xo, '--dry-run'), /left over .*\.new.*would be removed\n/)
  assert.equal(lying(xo).length, 2)
  assert.match(await command('uninstall', xo), /left over .*\.old.*: removed\n[^]*not installed there\n/)
  assert.ok(!existsSync(join(xo.folder, 'node_modules')))

  for (const name of ['.xo-server-web-hooks.new', '.xo-server-web-hooks.old']) leave(name)
  await command('install', xo)
  assert.deepEqual(lying(xo), ['xo-server-web-hooks'])
  leave('.xo-server-web-hooks.old')
  assert.match(await command('install', xo), /left over .*\.old.*: removed\n.*nothing changed/)
  assert.deepEqual(lying(xo), ['xo-server-web-hooks'])

  rmSync(join(xo.plugin, 'package.json'))
  rmSync(join(xo.plugin, 'index.js'))
  const said = await command('install', xo)
  assert.match(said, /instead of a part of it that an interrupted run left/)
  assert.match(said, /stock plugin +0\.4\.0/)
  assert.match(await command('install', xo), /nothing changed/)
  for (const name of ['package.json', 'index.js', 'hooks.schema.json', 'xo-hooks']) rmSync(join(xo.plugin, name))
  assert.match(await command('uninstall', xo), /a part of it, left by an interrupted run, removed from/)
  const host = await startHost(t, xo)
  assert.equal((await host.plugin()).version, '0.4.0')
})

test('a folder that may be of somebody else is no part of the plugin', async t => {
  const parts = [{ 'index.js': STOCK }, { 'index.js': STOCK, 'lib/link.js': '', 'lib/own.js': '' }, { 'hooks.schema.json': '', '.git': '' }]
  for (const files of parts) {
    const xo = xoServer(t, LAYOUTS.sources)
    mkdirSync(join(xo.plugin, 'lib'), { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(xo.plugin, name), text)
    if (!('lib/own.js' in files)) rmSync(join(xo.plugin, 'lib'), { recursive: true })
    const before = snapshot(xo.plugin)
    assert.match(await command('uninstall', xo), /not installed there/)
    await command('install', xo)
    assert.equal(snapshot(xo.plugin), before)
    assert.deepEqual(lying(xo), ['@xen-orchestra', 'xo-server-web-hooks'])
  }
})

test('runs at the same time wait for each other', async t => {
  const xo = xoServer(t, LAYOUTS.sources)
  const said = await Promise.all(Array.from({ length: 5 }, () => command('install', xo)))
  assert.equal(said.filter(text => /Next: restart/.test(text)).length, 1)
  assert.equal(said.filter(text => /nothing changed/.test(text)).length, 4)
  assert.deepEqual(lying(xo), ['xo-server-web-hooks'])
  await Promise.all([...Array.from({ length: 3 }, () => command('uninstall', xo)), command('install', xo)])
  for (const name of existsSync(join(xo.folder, 'node_modules')) ? lying(xo) : []) assert.equal(name, 'xo-server-web-hooks')
})

test('everybody may read what was installed, whatever the umask', async t => {
  const xo = xoServer(t, LAYOUTS.sources)
  rmSync(join(xo.folder, 'node_modules'), { recursive: true, force: true })
  const install = ['-c', 'umask 077; exec "$@"', 'sh', program(), 'install', '--xo-server', xo.given]
  const { status, stderr } = await run(install, { command: 'sh' })
  assert.equal(status, 0, stderr)
  for (const path of ['node_modules', 'node_modules/xo-server-web-hooks', 'node_modules/xo-server-web-hooks/lib', 'node_modules/xo-server-web-hooks/xo-hooks'])
    assert.equal(statSync(join(xo.folder, path)).mode & 0o777, 0o755, path)
  assert.equal(statSync(join(xo.plugin, 'index.js')).mode & 0o777, 0o644)
})

test('where no xo-server is, it says where it looked', async t => {
  const { status, stderr } = await run(['install', '--xo-server', tempFolder(t)])
  assert.equal(status, 2)
  assert.match(stderr, /no xo-server there.*package\.json/)
})
