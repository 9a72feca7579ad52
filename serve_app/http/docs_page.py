"""The page at /docs: the service's description for people, and a form to try each path. One document that loads nothing
but /openapi.json, so that it works on a machine without the internet.
"""

from __future__ import annotations

STYLE = """
:root {color-scheme: light dark; --line: #8885; --soft: #8881; --accent: #4f46e5; --bad: #b45309}
@media (prefers-color-scheme: dark) {:root {--accent: #a5b4fc; --bad: #fbbf24}}
* {box-sizing: border-box}
body {font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; overflow-wrap: anywhere}
h1 {font-size: 1.4rem; margin: 0} header p {margin: .2rem 0 1rem} h2 {font-size: 1rem; margin: 1.5rem 0 .5rem}
a {color: var(--accent)}
details {border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0}
summary {cursor: pointer; padding: .6rem .8rem} summary b {display: inline-block; width: 3.2rem; font-size: .8rem}
summary code {font-weight: 600} summary span {display: block; font-size: .9rem; opacity: .8; padding-left: 3.4rem}
section {padding: 0 .8rem .8rem} code, pre, textarea {font: 14px/1.5 ui-monospace, monospace}
dl {display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .2rem 1rem; margin: .5rem 0}
dt, dd {margin: 0} dd {font-size: .9rem} dt small {display: block; opacity: .7}
label {display: block; font-size: .9rem; margin: .6rem 0 .2rem}
input, select, textarea {width: 100%; padding: .5rem; border: 1px solid var(--line); border-radius: 6px}
input, select {font: inherit}
button {font: inherit; background: #4f46e5; color: #fff; border: 0; border-radius: 6px; padding: .5rem 1.2rem}
button {margin-top: .6rem; cursor: pointer} button:disabled {opacity: .5; cursor: wait}
pre {background: var(--soft); border-radius: 6px; padding: .7rem; margin: .6rem 0 0; max-height: 24rem; overflow: auto}
pre {white-space: pre-wrap}
.notice {border-left: 4px solid var(--bad); background: var(--soft); border-radius: 4px; padding: .6rem .9rem}
.notice {margin: .6rem 0 0} .notice b {display: block}
@media (max-width: 600px) {dl {grid-template-columns: 1fr; gap: 0} dd {margin-bottom: .5rem}}
"""
SCRIPT = r"""
const node = (tag, text, ...inside) => {
  const made = document.createElement(tag); if (text) made.textContent = text; made.append(...inside); return made
}
const notice = (title, text) => {
  const made = node('div', '', node('b', title), node('span', text))
  made.className = 'notice'; made.setAttribute('role', 'alert'); return made
}
const kind = one => one.anyOf ? [...new Set(one.anyOf.map(kind))].join(', ') : one.enum ? one.enum.join(', ')
  : one.const !== undefined ? String(one.const) : one.type === 'array' ? 'list' : String(one.type || 'any')
const EXAMPLES = {query: 'how to freeze a layer', queries: ['how to freeze a layer'], text_1: 'how to freeze a layer',
  top_n: 1, top_k: 1, truncation: true, raw_scores: false, return_text: true, property: ''}
const TEXTS = ['requires_grad = False', 'water freezes at 0 C']
const example = (schema, root = true) => {
  const body = {}, needed = schema.required || []
  for (const [name, one] of Object.entries(schema.properties || {})) {
    if (one.properties) { const inner = example(one, false); if (Object.keys(inner).length) body[name] = inner }
    else if (needed.includes(name)) body[name] = EXAMPLES[name] ?? TEXTS
    else if (root && name in EXAMPLES) body[name] = EXAMPLES[name]
  }
  return body
}
const fields = schema => {
  const list = node('dl')
  const add = (shown, before) => {
    for (const [name, one] of Object.entries(shown.properties || {})) {
      if (one.properties) { add(one, `${before}${name}.`); continue }
      const needed = (shown.required || []).includes(name) ? 'required' : 'optional'
      list.append(node('dt', '', node('code', before + name), node('small', `${needed}; ${kind(one)}`)),
        node('dd', one.description || ''))
    }
  }
  add(schema, ''); return list
}
const KEY = document.querySelector('#key')
async function send(method, path, body, out, button) {
  out.replaceChildren(); button.disabled = true
  const headers = KEY.value ? {Authorization: `Bearer ${KEY.value}`} : {}
  if (body !== null) headers['Content-Type'] = 'application/json'
  try {
    const answer = await fetch(path, {method, headers, body: body === null ? undefined : body})
    let text = await answer.text(), told = null
    try { told = JSON.parse(text); text = JSON.stringify(told, null, 2) } catch {}
    if (!answer.ok) out.append(notice(`HTTP ${answer.status}`, (told && (told.message || told.detail)) || text))
    else out.append(node('label', `HTTP ${answer.status}`))
    out.append(node('pre', text))
  } catch (error) { out.append(notice('The service does not answer', String(error.message || error))) }
  button.disabled = false
}
function operation(path, method, told) {
  const content = told.requestBody && told.requestBody.content['application/json'].schema
  const shapes = content ? content.anyOf || [content] : [], form = node('section'), out = node('div')
  out.setAttribute('aria-live', 'polite')
  let address = null, body = null
  if (path.includes('{')) {
    address = node('input'); address.value = path.replace(/\{[^}]*\}/, 'MODEL')
    form.append(node('label', 'Address', address))
  }
  if (content) {
    const shown = node('div'), area = node('textarea'); area.rows = 8; area.spellcheck = false; body = area
    const show = at => {
      shown.replaceChildren(fields(shapes[at])); area.value = JSON.stringify(example(shapes[at]), null, 2)
    }
    if (shapes.length > 1) {
      const choice = node('select', '', ...shapes.map(one => node('option', one.title)))
      choice.selectedIndex = shapes.length - 1; choice.onchange = () => show(choice.selectedIndex)
      form.append(node('label', 'Shape of the body', choice))
    }
    form.append(shown, node('label', 'Body', area)); show(shapes.length - 1)
  }
  const button = node('button', 'Send')
  const where = () => '.' + (address ? address.value : path)
  button.onclick = () => send(method.toUpperCase(), where(), body && body.value, out, button)
  form.append(button, out)
  const head = node('summary', '', node('b', method.toUpperCase()), node('code', path))
  head.append(node('span', told.description || told.summary))
  return node('details', '', head, form)
}
async function show() {
  const main = document.querySelector('main')
  let told
  try {
    const answer = await fetch('openapi.json')
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
    told = await answer.json()
  } catch (error) {
    const why = `openapi.json: ${error.message || error}. Reload the page.`
    main.replaceChildren(notice('The description cannot be read', why))
    return
  }
  document.querySelector('#version').textContent = told.info.version
  main.replaceChildren()
  for (const [title, wanted] of [['Scores', 'post'], ['The model and the service', 'get']]) {
    main.append(node('h2', title))
    for (const [path, methods] of Object.entries(told.paths))
      if (methods[wanted]) main.append(operation(path, wanted, methods[wanted]))
  }
}
show()
"""
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>rerank-eval: the API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head><body>
<header><h1>rerank-eval <small id="version"></small></h1>
<p>What the service answers, path by path; the same for programs: <a href="openapi.json">openapi.json</a>.</p>
<label for="key">API key, where the service asks for one</label>
<input id="key" type="password" autocomplete="off"></header>
<main><p>Reading the description ...</p></main>
<noscript><p class="notice">This page needs JavaScript; openapi.json does not.</p></noscript>
<script>{SCRIPT}</script></body></html>
"""
