'use strict'

// The two ways to the delivery program: as a child on pipes, or over the socket of one that runs as a service. Both give
// { input, output, isOwn, onEnd(callback), close() } and never keep the host from ending. Both throw when there is no way at all.

const { connect } = require('node:net')

const { startProgram } = require('./program.js')

const GRACE_MS = 5000 // the time that a child gets to finish after its input ended
const TERM_MS = 2000 // and after SIGTERM

const NICE = '10' // the host's calls go first when processors are scarce

const LEVELS = { error: 'error', warn: 'warn', warning: 'warn', info: 'info', debug: 'debug' }

// Lines of the child's standard error to the host's log, at their level. Equal ones of trouble once a minute: it may die and be started
// many times.
function forwardLog(stream, { log, seldom }) {
  let rest = ''
  stream.setEncoding('utf8').on('data', text => {
    const lines = (rest + text).split('\n')
    rest = lines.pop().slice(-4096)
    for (const line of lines) {
      const [, word, message] = line.match(/^(?:\S*\d\S* )?(error|warn|info|debug)\s+(.*)$/) ?? [, 'warn', line]
      const level = LEVELS[word]
      if (level === 'warn' || level === 'error') seldom.say(level, `${word} ${message}`, message)
      else log[level](message)
    }
  })
}

function within(promise, ms) {
  let timer
  return Promise.race([
    promise.then(() => true),
    new Promise(resolve => (timer = setTimeout(resolve, ms, false))),
  ]).finally(() => clearTimeout(timer))
}

function openChild({ program, folder, log, seldom }) {
  // A process group of its own: Ctrl-C in a terminal ends the host, whose end ends the child after what it holds is safe.
  const child = startProgram(program, ['serve', '--stdio', '--nice', NICE, '--data', folder], { detached: true })
  const ended = new Promise(resolve => {
    child.once('error', error => resolve(`can't be started: ${error.message}`)) // not once it runs
    child.once('exit', (code, signal) => resolve(signal === null ? `ended with status ${code}` : `ended by ${signal}`))
  })
  child.stdin.on('error', () => {}) // seen as the child's end
  forwardLog(child.stderr, { log, seldom })
  child.unref()
  for (const stream of child.stdio) stream.unref()
  return {
    input: child.stdin,
    output: child.stdout,
    isOwn: true,
    onEnd: callback => void ended.then(reason => callback(`${program} ${reason}`)),
    async close() {
      child.stdin.end()
      if (await within(ended, GRACE_MS)) return
      child.kill('SIGTERM')
      if (await within(ended, TERM_MS)) return
      child.kill('SIGKILL')
      await ended
    },
  }
}

function openSocket({ path }) {
  const socket = connect({ path }).unref()
  let reason = 'the connection was closed'
  socket.on('error', error => (reason = error.message))
  const closed = new Promise(resolve => socket.once('close', resolve))
  return {
    input: socket,
    output: socket,
    isOwn: false,
    onEnd: callback => void closed.then(() => callback(`${path}: ${reason}`)),
    async close({ atOnce = false } = {}) {
      if (atOnce) socket.destroy()
      else socket.end()
      if (!(await within(closed, TERM_MS))) socket.destroy()
    },
  }
}

module.exports = { openChild, openSocket, within }
