/** The language of a file by its name; its grammar is fetched when a file needs it. */

import { LanguageDescription, type LanguageSupport } from "@codemirror/language";
import { languages } from "@codemirror/language-data";

/** Longer texts are shown without colours: parsing them would make typing slow. */
export const COLOURED_LIMIT = 1_000_000;

const PROSE = new Set(["Markdown", "LaTeX", "reStructuredText"]);

/** Names that the list does not know. */
const OTHERS: [RegExp, string][] = [
  [/^(.*\.)?(bashrc|zshrc|profile|env(\..+)?)$/, "Shell"],
  [/\.(mdx|mdown)$/i, "Markdown"],
  [/^(\.prettierrc|\.eslintrc|.*\.(jsonc|geojson|webmanifest|ipynb))$/i, "JSON"],
  [/^(.*\.)?(gitconfig|editorconfig|npmrc|cfg|conf)$/i, "Properties files"],
  [/^(Pipfile|poetry\.lock|Cargo\.lock|uv\.lock)$/, "TOML"],
];

export function languageOf(name: string): LanguageDescription | null {
  const known = LanguageDescription.matchFilename(languages, name);
  if (known) return known;
  const other = OTHERS.find(([pattern]) => pattern.test(name));
  return other ? LanguageDescription.matchLanguageName(languages, other[1]) : null;
}

/** Markdown colours its code blocks too. */
export async function load(language: LanguageDescription): Promise<LanguageSupport> {
  if (language.name !== "Markdown") return language.load();
  const { markdown, markdownLanguage } = await import("@codemirror/lang-markdown");
  return markdown({ base: markdownLanguage, codeLanguages: languages });
}

/** Prose is wrapped unless somebody says otherwise, code is not. */
export function isProse(name: string): boolean {
  const language = languageOf(name);
  return language === null ? /(^[A-Z]+$|\.(txt|text|rst|adoc|org)$)/.test(name) : PROSE.has(language.name);
}
