// The part of the stand-in that finds, loads, configures and tests plugins, as xo-server does.
import Ajv from 'ajv'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { invalidParameters, noSuchObject } from './errors.mjs'
import { maskConfiguration, unmask } from './mask.mjs'

const resolve = createRequire(import.meta.url).resolve

export class Plugins {
  #ajv = new Ajv({ strict: 'log', strictRequired: false, useDefaults: true }).addVocabulary(['$multiline', '$type', 'enumNames'])
  #plugins = new Map()
  #saved = {} // id → { autoload, configuration }, in a file as the host has it in its database
  #writing = Promise.resolve()

  constructor(xo, { folder, dataFolder, staticConfigs = {} }) {
    this.xo = xo
    this.file = join(dataFolder, 'plugins.json')
    this.dataFolder = dataFolder
    this.staticConfigs = staticConfigs
    // the package's own node_modules first: what lies there wins over the folder beside the package
    this.lookUp = [join(folder, 'node_modules'), join(folder, '..'), '/usr/local/lib/node_modules']
  }

  async registerAll() {
    this.#saved = JSON.parse(await readFile(this.file, 'utf8').catch(() => '{}'))
    const found = new Map()
    for (const folder of this.lookUp) {
      await this.#find(found, join(folder, '@xen-orchestra'), 'server-')
      await this.#find(found, folder, 'xo-server-')
    }
    await Promise.all(
      [...found].map(([id, path]) =>
        this.#register(id, path).catch(error => this.xo.log('error', `failed to register the plugin ${id}: ${error.stack}`))
      )
    )
  }

  // The first one with a name wins.
  async #find(found, folder, prefix) {
    for (const entry of await readdir(folder).catch(() => [])) {
      const id = entry.slice(prefix.length)
      if (entry.startsWith(prefix) && !found.has(id)) found.set(id, join(folder, entry))
    }
  }

  async #register(id, path) {
    const module = (await import(resolve(path))).default
    const { description, keywords, version } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'))
    const { default: factory = module, configurationSchema, configurationPresets, testSchema } = module
    const argument = {
      staticConfig: this.staticConfigs[id] ?? {},
      xo: this.xo,
      getDataDir: async () => {
        const folder = join(this.dataFolder, id)
        await mkdir(folder, { recursive: true })
        return folder
      },
    }
    const made = part => (typeof part === 'function' ? part(argument) : part)
    const [instance, ...schemas] = await Promise.all([factory, configurationSchema, configurationPresets, testSchema].map(made))
    const plugin = { id, path, instance, schemas, description, keywords, version, loaded: false }
    plugin.configured = schemas[0] === undefined
    this.#plugins.set(id, plugin)

    const { autoload = true, configuration } = this.#saved[id] ?? {}
    await this.#save(id, { autoload })
    if (!plugin.configured) {
      try {
        await this.#apply(plugin, configuration ?? {})
      } catch (error) {
        if (configuration === undefined) return // never configured: it waits for the administrator
        throw error
      }
    }
    if (autoload) await this.load(id)
  }

  #save(id, change) {
    this.#saved[id] = { ...this.#saved[id], ...change }
    // one after the other, and never half a file
    this.#writing = this.#writing.then(async () => {
      await writeFile(this.file + '.new', JSON.stringify(this.#saved))
      await rename(this.file + '.new', this.file)
    })
    return this.#writing
  }

  #get(id) {
    const plugin = this.#plugins.get(id)
    if (plugin === undefined) throw noSuchObject(id, 'plugin')
    return plugin
  }

  async #apply(plugin, configuration) {
    const validate = this.#ajv.compile(plugin.schemas[0])
    const copy = structuredClone(configuration)
    if (!validate(copy)) throw invalidParameters(validate.errors)
    await plugin.instance.configure(copy, { loaded: plugin.loaded })
    plugin.configured = true
  }

  list() {
    return [...this.#plugins.keys()].map(id => this.show(id))
  }

  show(id) {
    const { instance, schemas, description, keywords, loaded, path, version } = this.#get(id)
    const [configurationSchema, configurationPresets, testSchema] = schemas
    const { autoload, configuration } = this.#saved[id]
    return {
      id,
      name: id,
      autoload,
      description,
      loaded,
      keywords,
      unloadable: typeof instance.unload === 'function',
      version,
      configuration: maskConfiguration(configuration),
      configurationPresets,
      configurationSchema,
      testable: typeof instance.test === 'function',
      testSchema,
      path, // the real one does not tell; tests ask which folder won
    }
  }

  async configure(id, configuration) {
    const plugin = this.#get(id)
    configuration = unmask(configuration, this.#saved[id].configuration)
    await this.#apply(plugin, configuration)
    await this.#save(id, { configuration })
  }

  setAutoload(id, autoload) {
    this.#get(id)
    return this.#save(id, { autoload })
  }

  async load(id) {
    const plugin = this.#get(id)
    if (plugin.loaded) throw invalidParameters('plugin already loaded')
    if (!plugin.configured) throw invalidParameters('plugin not configured')
    await plugin.instance.load()
    plugin.loaded = true
  }

  async unload(id) {
    const plugin = this.#get(id)
    if (!plugin.loaded) throw invalidParameters('plugin already unloaded')
    await plugin.instance.unload()
    plugin.loaded = false
  }

  async test(id, data) {
    const plugin = this.#get(id)
    if (!plugin.loaded) throw invalidParameters('plugin not loaded')
    await plugin.instance.test(data)
  }
}
