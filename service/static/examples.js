/** A few sentences to begin with, by language. */

export const examples = {
  en: ["How are you today?", "I have never seen such a big red car.", "She gave her brother the book that he wanted."],
  fr: ["Comment allez-vous aujourd'hui ?", "Je n'ai jamais vu une aussi grosse voiture rouge."],
  es: ["¿Cómo está usted hoy?", "Nunca he visto un coche rojo tan grande."],
  de: ["Wie geht es Ihnen heute?", "Ich habe noch nie ein so großes rotes Auto gesehen."],
  zh: ["你今天好吗？", "我从来没见过这么大的红色汽车。"],
};
