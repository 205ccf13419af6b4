'use strict'

// The plugin's static configuration, the table [plugins.web-hooks] of the host's own configuration file.

const MEMORY_CAP_MIB = 64

const isText = value => value === undefined || (typeof value === 'string' && value !== '')
const isSize = value => Number.isFinite(value) && value > 0

function settingsOf(staticConfig) {
  const { binary, memoryCapMiB = MEMORY_CAP_MIB, socket, source } = staticConfig
  const refuse = (name, value, wanted) => {
    throw new Error(`[plugins.web-hooks] ${name} = ${JSON.stringify(value)}: must be ${wanted}, or left out`)
  }
  if (!isText(binary)) refuse('binary', binary, 'the path of the xo-hooks program')
  if (!isSize(memoryCapMiB)) refuse('memoryCapMiB', memoryCapMiB, 'a number above 0')
  if (!isText(socket)) refuse('socket', socket, "the path of a running program's socket")
  if (!isText(source)) refuse('source', source, 'a name')
  return { binary, memoryCapBytes: memoryCapMiB * 1024 * 1024, socket, source }
}

module.exports = { settingsOf }
