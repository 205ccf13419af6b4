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

const OUTPUT_CAP = 16 * 1024 * 1024 // thousands of hooks can have as many warnings

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

// "hook 4 (Chat), advanced/timeout" for the pointer /hooks/3/advanced/timeout.
function place(pointer, { hooks } = {}) {
  const [, list, index, ...path] = pointer.split('/')
  if (list !== 'hooks' || index === undefined) return pointer.slice(1) || 'configuration'
  const name = hooks?.[index]?.name
  const hook = `hook ${Number(index) + 1}${typeof name === 'string' ? ` (${name})` : ''}`
  return path.length === 0 ? hook : `${hook}, ${path.join('/')}`
}

// The error that the administrator sees: each mistake with its hook.
function mistakesError(mistakes, configuration) {
  const lines = mistakes.map(({ pointer, found, message }) => {
    const what = found === undefined || found === null ? '' : ` (found ${found})`
    return `${place(pointer, configuration)}: ${message}${what}`
  })
  return new Error(lines.join('\n'))
}

// Throws what is wrong with the configuration; asks a program started for it. Used when no running one can be asked.
async function checkConfiguration(program, configuration) {
  const { status, stdout, stderr } = await run(program, ['check', '--json', '-'], JSON.stringify(configuration))
  let answer
  try {
    answer = JSON.parse(stdout)
  } catch {
    throw new Error(`the configuration can't be checked: ${stderr.trim() || `${program} check ended with ${status}`}`)
  }
  const mistakes = answer.mistakes.filter(({ warning }) => !warning)
  if (mistakes.length > 0) throw mistakesError(mistakes, configuration)
}

// Throws when it is not even a list of hooks. The host has held it against the schema; who else calls configure() may not have.
function assertHooks(configuration) {
  const hooks = configuration?.hooks
  if (!Array.isArray(hooks)) throw new Error('the configuration must be an object with "hooks", a list')
  const odd = hooks.findIndex(hook => typeof hook !== 'object' || hook === null)
  if (odd !== -1) throw new Error(`hook ${odd + 1}: must be an object`)
}

module.exports = { assertHooks, checkConfiguration, findProgram, mistakesError, startProgram }
