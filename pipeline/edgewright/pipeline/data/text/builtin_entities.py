"""A built-in set of sentences with people, places and organisations: written by hand for smoke tests, not for judging.

Whoever trains on these few sentences learns that everything runs, and next to nothing about a model.
"""

import functools
import re

_MARKED = re.compile(r"\[([^|\]]+)\|([A-Z]+)\]|(\S+)")

_SENTENCES = """
[Mira Okafor|PER] moved from [Lagos|LOC] to [Turin|LOC] in the spring .
The [Harbour Museum|ORG] opened a new wing for ship models .
[Jonas Feld|PER] writes a column for the [Evening Courier|ORG] every Sunday .
Heavy rain closed two roads near [Bergen|LOC] last night .
[Brightwater Foods|ORG] will build a bakery outside [Leeds|LOC] .
Our guide , [Sofia Marin|PER] , had grown up by the river .
The train from [Vienna|LOC] to [Prague|LOC] was an hour late .
[Aldo Ricci|PER] and [Hanna Berg|PER] share the prize this year .
A storm is moving from the coast towards [Lisbon|LOC] .
The [Institute of Tidal Research|ORG] hired twelve engineers .
In [Oslo|LOC] , the ferry leaves every twenty minutes .
[Tomas Vrba|PER] sold his shop to [Nordlicht Optics|ORG] .
No one at [Kestrel Airways|ORG] answered the telephone .
My neighbour keeps bees behind the old mill .
The mayor of [Ghent|LOC] , [Lieve Maes|PER] , opened the bridge .
[Green Valley School|ORG] won the chess tournament again .
[Priya Nair|PER] studied chemistry in [Madras|LOC] and [Leipzig|LOC] .
The lake froze early , and nobody went fishing .
[Delmar Bank|ORG] closed its branch in [Porto|LOC] on Friday .
After dinner , [Kofi Mensah|PER] told the children a story .
The [Union of Lighthouse Keepers|ORG] met in [Brest|LOC] .
[Elena Petrova|PER] plays the cello in the [Riverside Orchestra|ORG] .
Wheat prices rose for the third week in a row .
They drove through [Wales|LOC] without seeing a single sheep .
[Omar Haddad|PER] left [Solara Energy|ORG] to start his own firm .
The library in [Turku|LOC] lends out fishing rods .
[Ingrid Dahl|PER] found the letter under the floor .
[Castle Street Clinic|ORG] is looking for nurses .
Snow fell on [Sarajevo|LOC] all through the night .
A letter from [Walter Quist|PER] arrived in [Quito|LOC] after nine weeks .
The board of [Ferrum Tools|ORG] chose [Agnes Holm|PER] as its chair .
Please water the plants while I am away .
[Lucia Ferrante|PER] climbed the tower with a camera .
[Bluefin Shipping|ORG] sends two boats a day to [Malta|LOC] .
The bus stops in [Kyoto|LOC] , [Nara|LOC] and [Osaka|LOC] .
It was [Peter Lindqvist|PER] who repaired the organ .
[Meadow Hospital|ORG] thanked the fire brigade of [Derby|LOC] .
Farmers around [Seville|LOC] fear a dry summer .
The third edition was printed by [Halloway Press|ORG] .
[Noor Rahman|PER] teaches dancing at the [Lantern Theatre|ORG] .
Two kettles and a clock were stolen from the kitchen .
[Hugo Brandt|PER] sailed around [Iceland|LOC] in a wooden boat .
The [Committee for Clean Rivers|ORG] counted forty herons .
From [Nairobi|LOC] we took the night train to [Mombasa|LOC] .
[Yuki Tanabe|PER] joined [Aurora Robotics|ORG] as a designer .
The cheese comes from a village near [Parma|LOC] .
[Samuel Osei|PER] asked for a quiet room facing the garden .
Engineers of [Pontis Works|ORG] inspected the old bridge in [Cork|LOC] .
Nothing grows on the northern side of the hill .
[Clara Weiss|PER] , a doctor from [Basel|LOC] , bought the farm .
The [National Weather Office|ORG] expects frost in [Poland|LOC] .
[Marek Zielinski|PER] lost his hat in the wind .
[Tidewater College|ORG] offers evening courses in sailing .
On the road to [Granada|LOC] we met [Isabel Cortes|PER] .
The match between [Rovers United|ORG] and [Athletic Bruges|ORG] ended without a goal .
[Fatima Zahra|PER] photographs doors in [Fez|LOC] .
The bread was still warm when we came home .
[Orchid Pharma|ORG] tests a new vaccine in [Brazil|LOC] .
[Ben Carrow|PER] carved a flute for [Lena Strand|PER] .
The council of [Galway|LOC] planted six hundred trees .
A painting by [Rosa Vidal|PER] hangs in the [Gallery of the North|ORG] .
[Silver Pine Records|ORG] released her first album .
The valley south of [Innsbruck|LOC] is famous for its apples .
[David Achterberg|PER] counts stars for the [Polar Observatory|ORG] .
We waited for the ferry until it was dark .
[Anouk Lefevre|PER] swam from [Calais|LOC] towards [Dover|LOC] .
The [Bakers Guild|ORG] complained about the price of butter .
[Mateo Rojas|PER] drives a tram in [Lima|LOC] .
[Granite Insurance|ORG] moved its office to [Zagreb|LOC] .
Her grandmother , [Ewa Nowak|PER] , had been a pilot .
The market in [Marrakesh|LOC] closes at noon .
[Stefan Iliev|PER] and his brother repaired clocks in [Sofia|LOC] .
The [Desert Railway Company|ORG] bought nine new engines .
Nobody could explain the light above the barn .
[Grace Abara|PER] reads the news for [Channel Seven|ORG] .
Fog delayed the flights to [Dublin|LOC] and [Glasgow|LOC] .
[Willem de Groot|PER] lends his barn to the [Village Choir|ORG] .
The road between [Split|LOC] and [Dubrovnik|LOC] follows the sea .
[Copperfield Mills|ORG] weaves blankets from old wool .
[Nina Albrecht|PER] asked the [Ministry of Forests|ORG] for a map .
"""  # fmt: skip


@functools.cache
def entities() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """80 sentences, each as its words and their BIO tags: PER, LOC and ORG; nine name nobody."""
    return tuple(_parsed(line) for line in _SENTENCES.strip().splitlines())


def _parsed(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words: list[str] = []
    tags: list[str] = []
    for marked, kind, plain in _MARKED.findall(line):
        found = marked.split() or [plain]
        words += found
        tags += [f"{'I' if place else 'B'}-{kind}" for place in range(len(found))] if kind else ["O"]
    return tuple(words), tuple(tags)


ENTITY_SETS = {"entities": entities}
"""Name to the function that loads it; `data: builtin:NAME` in a recipe."""
