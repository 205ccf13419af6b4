'use strict'

const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { spawn } = require('node:child_process')

// The xo-hooks program: where the static configuration says, else inside the plugin's folder, else beside it, else in PATH.
function findProgram(configured) {
  if (configured !== undefined) return configured
  const folder = join(__dirname, '..')
  return [join(folder, 'xo-hooks'), join(folder, '..', 'xo-hooks')].find(existsSync) ?? 'xo-hooks'
}

const cantRun = (program, why) => new Error(`the program ${program} can't be run: ${why}`)

// Starts it, on pipes. Throws when that fails at once; else a failure is the child's 'error'.
function startProgram(program, args, options) {
  let child
  try {
    child = spawn(program, args, { ...options, stdio: 'pipe' })
  } catch (error) {
    throw cantRun(program, error.message)
  }
  if (child.stdin !== undefined) return child
  child.on('error', () => {}) // what is thrown says it
  throw cantRun(program, 'xo-server has too many files open')
}

const OUTPUT_CAP = 64 * 1024 * 1024 // characters: what is longer was cut, and is no JSON
const MISTAKES_TOLD = 100

// Runs the program to its end: { status, stdout, stderr }. Rejects when it can't be started or takes too long.
function run(program, args, input, timeoutMs = 10_000) {
  return new Promise((resolve, reject) => {
    const child = startProgram(program, args, { timeout: timeoutMs, killSignal: 'SIGKILL' })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', text => {
        if (output[name].length < OUTPUT_CAP) output[name] += text
      })
    child.stdin.on('error', () => {}) // it may end before it has read all; its answer tells why
    child.on('error', error => reject(cantRun(program, error.message)))
    child.on('close', (status, signal) => {
      if (status === null) reject(new Error(`the program ${program} ended by ${signal}`))
      else resolve({ status, ...output })
    })
    child.stdin.end(input)
  })
}

// What the program says of a configuration: { mistakes, more, warnings }, `more` of them not listed. It judges as one that runs would: what was
// accepted while loaded loads again.
async function judge(program, configuration, options) {
  const { status, stdout, stderr } = await run(program, ['check', '--json', '--lenient', ...options, '-'], JSON.stringify(configuration))
  let answer
  try {
    answer = JSON.parse(stdout)
  } catch {
    throw new Error(`the configuration can't be checked: ${stderr.trim() || `${program} check ended with ${status}`}`)
  }
  const isWarning = ({ warning }) => warning
  return { ...answer, mistakes: answer.mistakes.filter(one => !isWarning(one)), warnings: answer.mistakes.filter(isWarning) }
}

// /hooks/3/advanced/timeout → { index: 3, path: 'advanced/timeout' }; undefined when it is not in a hook.
function hookOf(pointer) {
  const [, list, index, ...path] = pointer.split('/')
  return list === 'hooks' && index !== undefined ? { index: Number(index), path: path.join('/') } : undefined
}

function hookName(index, { hooks } = {}) {
  const name = hooks?.[index]?.name
  return `hook ${index + 1}${typeof name === 'string' && name !== '' ? ` (${name})` : ''}`
}

const words = ({ found, message }) => (found === undefined || found === null ? message : `${message} (found ${found})`)

// "hook 4 (Chat), advanced/timeout" for the pointer /hooks/3/advanced/timeout.
function place(pointer, configuration) {
  const at = hookOf(pointer)
  if (at === undefined) return pointer.slice(1) || 'configuration'
  const hook = hookName(at.index, configuration)
  return at.path === '' ? hook : `${hook}, ${at.path}`
}

// The error that the administrator sees: each mistake with its hook.
function mistakesError(mistakes, configuration, more = 0) {
  const lines = mistakes.map(mistake => `${place(mistake.pointer, configuration)}: ${words(mistake)}`)
  if (more > 0) lines.push(`and ${more} more`)
  return new Error(lines.join('\n'))
}

// Throws what is wrong with a configuration that somebody wants to save, or returns the program's warnings; asks a program started for it. Used
// when no running one can be asked.
async function checkConfiguration(program, configuration) {
  const { mistakes, more, warnings } = await judge(program, configuration, ['--most', String(MISTAKES_TOLD)])
  if (mistakes.length > 0) throw mistakesError(mistakes, configuration, more)
  return warnings
}

// Stands in the place of a hook that can't be used, so that the others keep their numbers.
const nothing = index => ({ method: '*', type: 'post', url: `http://hook-${index + 1}.invalid/`, format: 'json', enabled: false })

// The part of a saved configuration that can be used, { usable, leftOut: [{ hook, name, why }] }: one bad hook, which another plugin took
// or an older version, does not take the good ones along. Throws when a mistake is in no hook.
async function usablePart(program, configuration) {
  const { mistakes } = await judge(program, configuration, [])
  if (mistakes.length === 0) return { usable: configuration, leftOut: [] }
  const bad = new Map()
  for (const mistake of mistakes) {
    const at = hookOf(mistake.pointer)
    if (at === undefined) throw mistakesError(mistakes.slice(0, MISTAKES_TOLD), configuration, mistakes.length - MISTAKES_TOLD)
    const why = at.path === '' ? words(mistake) : `${at.path}: ${words(mistake)}`
    bad.set(at.index, bad.has(at.index) ? `${bad.get(at.index)}; ${why}` : why)
  }
  const { hooks } = configuration
  return {
    usable: { ...configuration, hooks: hooks.map((hook, i) => (bad.has(i) ? nothing(i) : hook)) },
    leftOut: [...bad]
      .filter(([index]) => hooks[index].enabled !== false)
      .map(([index, why]) => ({ hook: index + 1, name: hooks[index].name, why })),
  }
}

// Throws when it is not even a list of hooks. The host has held it against the schema; who else calls configure() may not have.
function assertHooks(configuration) {
  const hooks = configuration?.hooks
  if (!Array.isArray(hooks)) throw new Error('the configuration must be an object with "hooks", a list')
  const odd = hooks.findIndex(hook => typeof hook !== 'object' || hook === null)
  if (odd !== -1) throw new Error(`hook ${odd + 1}: must be an object`)
}

module.exports = { assertHooks, checkConfiguration, findProgram, hookName, mistakesError, startProgram, usablePart }
