"""A built-in set of questions on short and long texts: written by hand for smoke tests, not for judging.

Whoever trains on these few questions learns that everything runs, and next to nothing about a model.
"""

import functools

_TEXTS = """
# The lighthouse of Skerry Point was built in 1871 from grey granite. Its first keeper, Anders Holm, lived there \
with his wife and four children. The lamp burned rape oil until 1904, when it was replaced by paraffin. On a clear \
night its light can be seen from a distance of nineteen miles.
When was the lighthouse of Skerry Point built? | 1871
What is the lighthouse made of? | grey granite
Who was its first keeper? | Anders Holm
What did the lamp burn after 1904? | paraffin
From how far away can the light be seen? | nineteen miles
How many steps does the tower have? |

# Sourdough bread rises without baker's yeast. A mixture of flour and water, called the starter, is left in a warm \
place for about five days until wild yeast and bacteria settle in it. The bacteria make lactic acid, which gives the \
bread its sour taste. A starter that is fed every day can live for decades.
What is the mixture of flour and water called? | the starter
How long is the starter left in a warm place? | about five days
What gives the bread its sour taste? | lactic acid
How long can a starter live that is fed every day? | for decades
Which bakery invented sourdough bread? |

# The Alder is a river of forty-two miles. It rises on Mount Corran and flows east through the towns of Fenwick and \
Little Marsh before it reaches the sea at Port Ellery. In spring, when the snow melts, the river often floods the \
meadows below Fenwick. Three stone bridges cross it, the oldest of which dates from 1583.
How long is the Alder? | forty-two miles
Where does the river rise? | Mount Corran
Where does the Alder reach the sea? | Port Ellery
Why does the river flood in spring? | the snow melts
From which year is the oldest bridge? | 1583
How many fish live in the Alder? |

# Honeybees tell each other where flowers are by dancing. The round dance says that food is near the hive; the \
waggle dance says how far away it is and in which direction. The angle of the dance to the vertical is the angle of \
the flowers to the sun. The Austrian zoologist Karl von Frisch decoded the dance and received the Nobel Prize for it \
in 1973.
How do honeybees tell each other where flowers are? | by dancing
Which dance says that food is near the hive? | The round dance
Who decoded the dance? | Karl von Frisch
When did he receive the Nobel Prize? | 1973
What colour of flowers do bees like best? |

# Mara Lindt opened her bicycle workshop in a former stable in Ghent. She repairs about thirty bicycles a week and \
lends tools to anyone who wants to do the work alone. On Thursdays her nephew Joost teaches children how to mend a \
flat tyre. The workshop is closed in January.
Who opened the bicycle workshop? | Mara Lindt
What was the workshop before? | a former stable
How many bicycles does she repair in a week? | about thirty
What is taught on Thursdays? | how to mend a flat tyre
In which month is the workshop closed? | January
How much does a new tyre cost? |

# The comet was first seen on 9 March by a schoolteacher in Valparaiso. It passed the sun at a distance of sixty \
million miles and could be seen without a telescope for eleven nights. Astronomers believe that it will come back in \
about 3,400 years. Its tail was green, a colour that comes from carbon.
Who saw the comet first? | a schoolteacher in Valparaiso
For how long could the comet be seen without a telescope? | eleven nights
When will the comet come back? | in about 3,400 years
Where does the green colour come from? | carbon
What is the name of the comet? |

# Cork is the bark of the cork oak, a tree of the western Mediterranean. It is peeled off by hand with an axe, for \
the first time when the tree is twenty-five years old and then every nine years. The tree is not harmed and may live \
for two hundred years. Half of the cork of the world comes from Portugal.
What is cork? | the bark of the cork oak
With what is cork peeled off? | an axe
How often is a tree peeled? | every nine years
Which country does half of the cork come from? | Portugal
How old may the tree become? | two hundred years

# The orchestra of Halden has no conductor. Its thirty-one members decide in a vote what they play and how. The \
first concert took place in a disused swimming pool in 1988. Today the orchestra gives about fifty concerts a year, \
most of them in villages that have no concert hall. A ticket costs as much as a loaf of bread.
What does the orchestra of Halden not have? | conductor
How many members does the orchestra have? | thirty-one
Where did the first concert take place? | in a disused swimming pool
How much does a ticket cost? | as much as a loaf of bread
Who composed the music of the first concert? |

# Glass is made of sand, soda and lime. The mixture melts at about 1,500 degrees and becomes so thick when it cools \
that it cannot form crystals. A little iron colours it green, cobalt makes it blue, and gold makes it red. The \
oldest glass that we know of are beads from Mesopotamia.
What is glass made of? | sand, soda and lime
At what temperature does the mixture melt? | about 1,500 degrees
What makes glass blue? | cobalt
What are the oldest pieces of glass? | beads from Mesopotamia
What makes glass yellow? |

# In the winter of 1963 the lake froze so deep that lorries drove across it. A baker from the northern shore, Emil \
Kranz, sold rolls from a sledge in the middle of the ice. On 2 March the ice broke with a noise that could be heard \
in the mountains, and the sledge sank. Nobody was hurt, but the bell of the sledge still lies on the ground of the \
lake.
When did the lake freeze so deep? | the winter of 1963
What did Emil Kranz sell? | rolls
On which day did the ice break? | 2 March
What still lies on the ground of the lake? | the bell of the sledge
How deep is the lake? |

# The village of Orvanne had for three hundred years a single clock, and it stood on the tower of the town hall. It \
was made by a locksmith named Pascal Brun, who had never built a clock before and never built another. It had one \
hand only, because he thought that nobody in Orvanne needed to know the minutes. Farmers set out when the hand \
touched the six, and the school began when it touched the eight. For most of the time the clock was right to within \
a quarter of an hour, which was enough.
In 1834 lightning struck the tower. The clock stopped at twenty past four, and since it had one hand only, people \
argued for weeks whether it had not been half past four. The council asked for offers to repair it. A clockmaker \
from the city wanted two hundred crowns, and a second one a hundred and eighty. The council had forty. So it was \
decided to wait, and the village lived without a clock for eleven years. During that time the baker, whose name was \
Odile Ferrand, rang a hand bell when the first bread came out of the oven, and people called this hour bread time. \
The school, too, began at bread time. When Odile Ferrand was ill, the school stayed closed.
In 1845 a travelling tinker asked for a bed for the night. His name was Ludovic, and he gave no other. He could not \
pay, and offered to look at the clock instead. He climbed up with a lantern, and those who slept near the square \
heard him sing. In the morning the clock was going. He had replaced the broken wheel with the bottom of a copper \
kettle, into which he had filed sixty-four teeth. The council gave him the forty crowns, and he bought a mule with \
them and left for the south. The wheel is still there. When the clock was taken to the regional museum in 1972, the \
people of Orvanne allowed it only on condition that it would be brought back on every first Sunday of May. On this \
day it stands in the square, and somebody rings a hand bell next to it. There is bread for everybody, and it is paid \
for by the museum.
A study by the technical college found in 1990 that the copper wheel loses a tenth of a millimetre in a hundred \
years. If that is true, the clock will go for another four thousand years before the teeth are worn down. The \
director of the museum, Irene Vasseur, said that she would be glad to hear complaints then.
Who made the clock of Orvanne? | Pascal Brun
Why had the clock only one hand? | nobody in Orvanne needed to know the minutes
What happened to the tower in 1834? | lightning struck the tower
How long did the village live without a clock? | eleven years
What was the broken wheel replaced with? | the bottom of a copper kettle
How many teeth did the tinker file? | sixty-four
What did the tinker buy? | a mule
On which day is the clock brought back? | every first Sunday of May
What did the council give the tinker? | the forty crowns
Who is the director of the museum? | Irene Vasseur
How high is the tower of the town hall? |

# The expedition to the Tarn plateau set out on 4 June with nine people, fourteen mules and food for ten weeks. Its \
leader was the botanist Helene Aubry, who had waited for permission for six years. She wanted to find out whether \
the blue poppy that had been described in a letter of 1788 really existed. Nobody had seen it since, and most of her \
colleagues believed that the writer of the letter had confused it with a common thistle. The geologist of the party, \
Rupert Sands, did not care about poppies; he had come for the salt lakes.
The first three weeks were easier than expected. The path followed a dry river, there was grass for the mules, and \
at night it was so quiet that one could hear the beetles walk. On 27 June they reached the edge of the plateau, a \
wall of red stone that was four hundred metres high. It took them five days to find a way up. One mule fell, and \
with it they lost all of the sugar and half of the flour. The cook, Batu, said that he had carried flour over that \
wall once before, as a boy, and that it had fallen then, too. From this day on there was tea without sugar, and \
Sands complained about it in every single entry of his diary.
On the plateau the wind never stopped. The tents were torn on the second night, and the party moved into a cave \
whose roof was black with old smoke. In it Aubry found a clay jar with seeds. She could not say what they were, and \
packed them in wool. The salt lakes, which Sands had hoped to measure, turned out to be dry; in the middle of the \
largest stood the wreck of a boat, which nobody could explain, for the next tree was three hundred kilometres away. \
Sands drew it from all sides. His drawings are kept in the archive of the university today, and scholars still argue \
about the form of the keel.
They searched for the poppy for twenty-three days. On 11 August, when food was left for two weeks and the way back \
took three, Aubry decided to turn around. She wrote that evening that the letter had been wrong, and that she was \
sorry for the mules. The way back was hard. They lived on barley and on the eggs of plovers, and reached the first \
village on 6 September, with eight mules. All nine people had survived. Aubry gave the seeds from the jar to the \
botanical garden of Utrecht, where a gardener called Pieter Vos put them into a pot and forgot them behind a stove. \
Seven months later one of them flowered. It was a poppy, and it was blue. Aubry named it after the cook.
Who was the leader of the expedition? | Helene Aubry
How many mules did the expedition set out with? | fourteen
What was the profession of Rupert Sands? | geologist
How high was the wall of red stone? | four hundred metres
What did they lose with the mule that fell? | all of the sugar and half of the flour
What did Aubry find in the cave? | a clay jar with seeds
What stood in the middle of the largest salt lake? | the wreck of a boat
For how long did they search for the poppy? | twenty-three days
When did they reach the first village? | 6 September
Who put the seeds into a pot? | Pieter Vos
After whom was the poppy named? | the cook
How much did the expedition cost? |

# Before there were refrigerators, ice was a crop. In January, when it was at least a foot thick, men with horses \
cut it from the ponds of New England in blocks of three hundred pounds. Packed in sawdust, it lost only a tenth of \
its weight on the way to Calcutta, a voyage of four months. Frederic Tudor, who began the trade in 1806, was called \
the Ice King.
How thick had the ice to be? | at least a foot
In what was the ice packed? | sawdust
How long was the voyage to Calcutta? | four months
Who was called the Ice King? | Frederic Tudor
What was the name of Tudor's ship? |
"""


@functools.cache
def asked_questions() -> tuple[tuple[str, str, str], ...]:
    """Question, text and answer of each question; the answer stands once in its text, and is empty for one in seven."""
    found = []
    for block in _TEXTS.strip().split("\n\n"):
        lines = block.split("\n")
        text = "\n".join(line for line in lines if " |" not in line).removeprefix("# ")
        for line in lines:
            question, mark, answer = line.partition(" |")
            if mark:
                found.append((question, text, answer.strip()))
    return tuple(found)


QUESTION_SETS = {"questions": asked_questions}
"""Name to the function that loads it; `data: builtin:NAME` in a recipe."""
