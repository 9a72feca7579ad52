"""Replies of a judge that a careless parser takes for a grade, each with what it really says.

Written for the prompt `reasoned`, whose replies end with a line "Grade: 2", but for those that `for_graded` gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stages.core.grades import Reply


class Hostile(NamedTuple):
    """`truth` is the grade that the reply gives, None where it gives none. `may_miss`: a parser that finds none in it
    is careful, and not wrong.
    """

    family: str
    reply: Reply
    truth: int | None
    may_miss: bool = False


GRADES = range(4)
# With {n} in the place of a digit that is no grade.
PROSE = (
    "There is no {n} here.",
    "I would not give it a {n}, as the answer is buried.",
    "Between 0 and {n} I cannot decide.",
    "The document was written in 200{n} and revised in 201{n}.",
    "Section {n} of the document answers the query; sections 1 and 2 do not.",
    "On a scale of 0 to 3 this would need more than {n} sentences to say.",
    "A document that deserves {n} would name the author.",
    "Grade {n} would mean that the answer is there.",
    "{n}. The intent is clear.\n{n}. The match is not.",
    "It costs {n} $ and weighs {n},{n} kg.",
    "文中没有 {n} 这个答案。",
    "该文档写于 200{n} 年，共 {n} 页。",
    "Es gibt hier keine {n}, und die Seite {n} fehlt.",
    "Il n'y a pas de note {n} ici, seulement {n} exemples.",
    "No hay ningún {n} en el texto, que es del año 200{n}.",
    "Здесь нет оценки {n}.",
    "لا توجد درجة {n} هنا.",
    "ここに {n} という答えはありません。",
    "यहाँ {n} नहीं है।",
    "<think>Is it a {n}? Or a 2?</think>",
)
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "As a language model I cannot judge this document. 0",
    "I cannot give a grade from 0 to 3 for this content.",
    "抱歉，我无法评分（0 到 3）。",
    "Es tut mir leid, das kann ich nicht bewerten (0).",
    "Je ne peux pas attribuer de note de 0 à 3.",
    "Lo siento, no puedo dar una nota. Nota: 0",
    "Извините, я не могу поставить оценку 0.",
    "申し訳ありませんが、評価できません。",
    "",
    "   \n\t\n",
    "\n\n\n",
    "N/A",
    "None",
    "null",
    "?",
)
# What stands in the place of the digit, and is none of 0 to 3.
NO_DIGITS = (
    *("4", "5", "7", "9", "10", "11", "12", "23", "30", "33", "100", "2023", "00", "01", "02", "03", "003", "0003"),
    *(
        "-1",
        "-3",
        "+2",
        "2.0",
        "2.5",
        "1,5",
        ".5",
        "2.",
        "2!",
        "2?",
        "~2",
        "<2",
        ">1",
        "=2",
        "3/3",
        "2/3",
        "0/3",
        "3 / 3",
    ),
    *("1-2", "2–3", "1 or 2", "0 to 3", "2 and 3", "1..2", "2+", "2-", "2 (useful)", "2 points", "2 stars", "about 2"),
    *("３", "２", "²", "₃", "①", "③", "Ⅲ", "٣", "३", "๓", "三", "二", "两", "𝟑", "0x2", "2e0", "1e1", "0b1", "1_0"),
    *("two", "three", "zwei", "trois", "dos", "два", "اثنان", "digit", "N", "{grade}", "?", "-", "null", "None", "NaN"),
    *(
        "",
        "\u200b2",
        "2\u200b",
        "\u202e3",
        "2\u202c",
        "\ufeff1",
        "2\x00",
        "\x002",
        "2 3",
        "2;3",
        "2, 1",
        "1 2 3",
        "0123",
    ),
    *("2\u2028Grade:", "[2]", "(2)", "'2'", '"2"', "**2**", "*2*", "_2_", "`2`", "#2", "2%", "$2", "2°", "½", "3̸"),
)
# A line that is not in the form asked for; {n} is a grade.
OTHER_FORMS = (
    *("grade: {n}", "GRADE: {n}", "Grade:{n}", "Grade : {n}", "Grade - {n}", "Grade {n}", "Grade is {n}", "Grade= {n}"),
    *(
        "**Grade: {n}**",
        "**Grade:** {n}",
        "`Grade: {n}`",
        "# Grade: {n}",
        "- Grade: {n}",
        "> Grade: {n}",
        " Grade: {n}",
    ),
    *("Grade： {n}", "Ｇrade: {n}", "Gráde: {n}", "Grаde: {n}", "Grade:\u00a0{n}", "Grade:  {n}", "Grade:\t{n}"),
    *(
        "Final Grade: {n}",
        "The grade: {n}",
        "Score: {n}",
        "Rating: {n}",
        "Note : {n}",
        "等级：{n}",
        "评分: {n}",
        "Оценка: {n}",
    ),
    *(
        '{{"grade": {n}}}',
        "<grade>{n}</grade>",
        "[[{n}]]",
        "\\boxed{{{n}}}",
        "##final score: {n}",
        "O: {n}",
        "{n}",
        "({n})",
    ),
    *("Grade: {n}.", "Grade: {n};", "Grade: {n} ✅", "Grade: {n}</s>", "Grade: {n}<|im_end|>", "Grade: {n} of 3"),
    *("I grade it: Grade: {n}", "So, Grade: {n}", "Grade: {n} Grade: {n}", "Grade: {n}, I think"),
)
REASONS = (
    "It is about the subject, and the answer is missing.",
    "The year is 2023, and 3 of 10 readers find it useful.",
    "Intent: 1 thing. Match: 2 of 3. Trust: 0 doubts.",
    "意图明确，文中第 3 段给出了部分答案。",
    "La intención es clara; el texto de 2003 responde a 2 de 3 preguntas.",
    "Absicht: klar.\nTreffer: 2 von 3 Punkten.\nVertrauen: 10/10.",
    "<think>\nMaybe 3, maybe 0.\n</think>\n\nOne point of 3 is met.",
    "```\nprint(3)\n```",
    "1. Intent\n2. Match\n3. Trust",
    "The document says 'Grade: 3', which is not for it to say.",
)


def hostile_replies() -> Iterator[Hostile]:
    """Thousands, each once."""
    yield from _without_any()
    yield from _in_form()
    yield from _in_no_form()
    yield from _of_two_minds()
    yield from _cut()


def for_graded() -> Iterator[Hostile]:
    """For the prompt `graded`, whose whole reply is a digit."""
    yield from _without_any()
    for n in GRADES:
        for text in (f"{n}", f" {n}\n", f"\n\n{n}", f"{n}\r\n"):
            yield Hostile("the digit", Reply(text), n)
        yield Hostile("cut", Reply(f"{n}", finished=False), None)
        for other in OTHER_FORMS:
            if (text := other.format(n=n)) != f"{n}":
                yield Hostile("another form", Reply(text), None)
        for reasons in REASONS:
            yield Hostile("reasons that nobody asked for", Reply(f"{reasons}\n{n}"), None)
            yield Hostile("words behind it", Reply(f"{n}\n{reasons}"), None)
    yield from (Hostile("no digit", Reply(text), None) for text in NO_DIGITS)


def _without_any() -> Iterator[Hostile]:
    for n in GRADES:
        yield from (Hostile("digits in prose", Reply(text.format(n=n)), None) for text in PROSE)
        yield from (
            Hostile("failed", Reply(f"Grade: {n}", error=f"HTTP 50{n}: try again in {n} s"), None) for _ in (0,)
        )
    yield from (Hostile("a refusal", Reply(text), None) for text in REFUSALS)


def _in_form() -> Iterator[Hostile]:
    for n in GRADES:
        yield Hostile("the ending alone", Reply(f"Grade: {n}"), n)
        for reasons in REASONS:
            yield Hostile("in form", Reply(f"{reasons}\nGrade: {n}"), n)
            yield Hostile("in form, blanks around", Reply(f"\n{reasons}\r\n\r\nGrade: {n} \n\n"), n)
            yield Hostile("said twice", Reply(f"Grade: {n}\n{reasons}\nGrade: {n}"), n)
        for prose in PROSE:
            yield Hostile("prose and the form", Reply(f"{prose.format(n=(n + 2) % 4)}\nGrade: {n}"), n)


def _in_no_form() -> Iterator[Hostile]:
    for text in NO_DIGITS:
        yield Hostile("no digit", Reply(f"{REASONS[0]}\nGrade: {text}"), None)
        yield Hostile("no digit, and one before", Reply(f"Grade: 2\n{REASONS[1]}\nGrade: {text}"), None)
    for n in GRADES:
        for form in OTHER_FORMS:
            yield Hostile("another form", Reply(f"{REASONS[n]}\n{form.format(n=n)}"), None)
        for reasons in REASONS:
            yield Hostile("words behind the ending", Reply(f"Grade: {n}\n{reasons}"), None)
        for prose in PROSE:
            yield Hostile("prose behind the ending", Reply(f"Grade: {n}\n\n{prose.format(n=(n + 1) % 4)}"), None)


def _of_two_minds() -> Iterator[Hostile]:
    for n in GRADES:
        for other in GRADES:
            if other == n:
                continue
            yield Hostile("two endings", Reply(f"Grade: {n}\n{REASONS[0]}\nGrade: {other}"), None)
            yield Hostile("two endings in a row", Reply(f"Grade: {n}\nGrade: {other}"), None)
            for decorated in (
                "**Grade: {n}**",
                "- GRADE: {n}",
                "My final grade: {n}.",
                "Ｇｒａｄｅ：{n}",
                "__Grade__: {n}",
            ):
                text = f"{decorated.format(n=n)}\nOn second thoughts:\nGrade: {other}"
                yield Hostile("two endings, one decorated", Reply(text), None)
            quoted = f'The document says:\n"Grade: {n}"\nwhich is not for it to say.\nGrade: {other}'
            yield Hostile("an ending quoted from the document", Reply(quoted), other, may_miss=True)


def _cut() -> Iterator[Hostile]:
    for n in GRADES:
        whole = f"{REASONS[1]}\nGrade: {n}"
        yield Hostile("cut behind the grade", Reply(whole, finished=False), None)
        for end in range(len(whole)):
            yield Hostile("cut", Reply(whole[:end], finished=False), None)
            yield Hostile("ended early", Reply(whole[:end]), None)
