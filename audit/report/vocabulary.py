"""The words of the audit's own sentences: a sentence of others is published only if it is made of these.

They are words about measuring. A word that may be somebody's value (a name, a place, a category) is not among them, so
a sentence that quotes the rows is not published; a new word of the audit's own is added here.
"""

WORDS = frozenset(
    """
a about above absolute acc acceptance accepted accuracy across add added adding additional addresses advantage after
again against aggregated alarm alike all alpha although always among amplification an analyses analysis analytics and
anonymisation another answer answered answers any anybody anything apart appear appears appended applies apply
approaches are area around article as aside asked asking assess assessed association at attack attacked attacks
attribute auc audit average averaged away back ball bar bars based basic be because becomes been before began begin
below best beta between beyond bias bigger binned bins boolean boosted both bottom bound bounds box boxes break breaks
bring broad broken budget but by calibrated calibration called calls can canaries canary cannot carried carry case cases
categorical categories category cause cell cells centre certain certifying chance change check chosen claim claims class
classes classification classifier clean clear clearly closer closest coarse codes coefficient coefficients coercion coin
collapse collinear column columns combinations common commonly comparable compare compared complete compute computed
conditional confidence config consider constraint contain contains contaminated continuous contract control copied
copies copy copying corrected cost costs could count counted counting counts cover coverage covered cpu create
created crossed cuda curve curves cut data date dates datetime days de decided declared declares deep default defined
delusion demand demanded demands demographic densities density depend depends described description descriptions detail
detectable detected detection detector determine deviation deviations diagnostic differ difference differences different
differential differs direct directly discrete discrimination disparate distance distances distant distinct distributions
divide divided do document does done dozen drawn draws drew drop duplicate duplicates duration durations each early
easiest easily easy edge effect effects either empty enabled end ended ends enough epochs epsilon equal equality
equalized equally equals equivalence equivalent error errors estimate estimates even events every everybody evidence
exact exactly example exceed exceeds except exception exist exists expect expectation expectations expected expired
explain explained extra factor fail failed fails failure fairness faithful fall falls false far farther farthest feature
features few fewer fidelity fifths fill final finding finds finished first fit fits fitting five fixed flag flipped
float floor floors fnr fold folds follow following follows for forbid forest forms formula forward found four fourth
fraction free frequency frequent fresh from full fully function further gained gap gaps gate gates general generate
generator generators get gets give given gives goes good got gradient great group groupings groups growth guessed had
half halves hand handed happen hard hardly has have heap heaviest heels height held help helped helps here hide high
higher highest histogram hits hold holdout holdouts holds how i idea identical identifier identifiers identify if ignore
impact implication in inclusive inconclusive increase independence independent independently index individual inf
inference input inside integer integrated intended internal interval intervals into invalid invented is isolated
isolation it its itself joint judge judged judging keep keeps kept key kind kinds knew know known knows kolmogorov label
labels lacking language larger largest later lead leak learn learned learning least leave leaves left length lengths
less level levels lie lies like likely limit linear link linkability linked list listed lists little logical logistic
lone long longer look looked looks lose loses loss lost low lower lowest machine's made main majority make many mapping
margin marginals mark marked marks match matched matching matters max maximum mean means measure measured measures
median meet meets members membership merged met meta metric mia middle might mined minimum minority misses missing
missingness mixed model modelled models moderate moments more most moved moves multicolumn multiple multivariate must
naive name named names near nearer nearest nearly nearness needed needs negative negatives neighbours neither never new
next nine nist no noise nominal non none nor not note notes nothing notice noticed now nulls number numbers numerical
observation observed obtained occur occurs odds of offered often old on once one one-hot ones only open opened
opportunity or order ordered ordinal ordinary other others otherwise out outcome outer outlier outliers outside over
overall overlap own pair pairs pandas panel parity parse part partial particular parts pass passed passing past paste
pasted paz people per percent percentage perfect perfectly performance permitted person persons picked piece place
places plain planted plausible plus pmse point points policies policy pool pooled pools portion positive positives
possible power ppv precision predicate predict predicted predictions predictor predictors predicts prefer presence
present prevalence price privacy privately probability problem produced progress propensity properties property
protected proven proves proxies proxy public publish published pushed put quality quantile quantiles quantity quarter
queries question questions quite r raised random range ranges rare rarely rarest rate rates rather ratio reach reached
reaches read reading ready real reason reasons recall record recorded records reduced reference refit refuse refused
regex region regression regressions relative release released reliable remain remains removed removing repeat repeated
repetitions replaced report reported require required resampled resamples resemblance rest result resulting results
return returned returns revisiting ridge right rise rises risk risks roc rose round rounds row rows rule rules run runs
r² same sample saw say says scale schema score scored scores sdmetrics sdnist sdv searches second secret secrets seen
selected selection sensitive sentence separate separately series set settings several shadow shape shapes shards share
shared shares show showed shown shows shuffled siblings side sides significant simple simply since single singling size
sizes skipped slightly slope small smaller smallest so some sort source spaces span specific specification specified
speed spread squared squares stable standard start started state states statistical step steps still stored straight
strength string strong stronger structural structure subgroup subsample subset subsets success such suite sum supplied
support supports sure synthetic table tables tail take taken takes target task techniques tell tells ten test tests text
texts th than that the their them themselves then there these they third thirds this those three threshold thresholds
through tick tied tier ties time timedelta times timestamp tiny to together told too top torch toss total touched train
trained training trainings trees trend trends trials tried triple triples true truth try turn twice two types typical
unable uncertain uncertainty undecided under unequal unexpected unique unit units unknown unless unseen until unusual
unweighted up upon upward upwards us use used useful uses usual utc utility valid validity value values van variance
variation varied varies verbatim version very view violated violations void wait waived waiver waivers wanted was way
weak weaker weight weights well went were what when where which whole whose wide wider width will with within without
word work working works worse worsens worst would written wrong x your zero α β ε
""".split()
)
